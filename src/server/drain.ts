import { setTimeout as pause } from "node:timers/promises";
import { StoreUnavailable } from "../core/store-unavailable.ts";
import { leftInRedis, notClosed } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import type { Listeners } from "./listeners.ts";
import type { Runtime } from "./runtime.ts";
import type { Shutdown } from "./shutdown.ts";

/** The signals that stop an instance, such as SIGTERM. */
export interface StopSignals {
  /** Starts the drain. Resolves with the signal's name. */
  readonly first: Promise<string>;
  /** Ends the drain at once. */
  readonly second: Promise<void>;
}

/**
 * Drains an instance after a signal: `/readyz` and gRPC health report that it is not ready, while the listeners still serve for
 * DRAIN_SECONDS, so that Envoy and load balancers turn to other instances. A second signal ends the drain, and open calls with it.
 */
export async function drain(
  listeners: Pick<Listeners, "drain" | "skipDrain">,
  { signal, skip }: { readonly signal: string; readonly skip: Promise<void> },
  { settings, log }: Pick<Runtime, "settings" | "log">,
): Promise<void> {
  log.info({ signal, seconds: settings.DRAIN_SECONDS }, "draining");
  listeners.drain();
  const drained = pause(settings.DRAIN_SECONDS * 1000, undefined, { ref: false });
  await Promise.race([drained, skip.then(listeners.skipDrain)]);
}

/** Closes everything. Resolves with whether all closes succeeded. */
export async function closeAll(shutdown: Shutdown, log: Log): Promise<boolean> {
  let succeeded = true;
  for (const { name, error } of await shutdown.run()) {
    // The stop does not fail because Redis is unavailable: entries in Redis expire.
    if (error instanceof StoreUnavailable) log.warn({ err: error.message }, leftInRedis(name));
    else {
      log.error({ err: error }, notClosed(name));
      succeeded = false;
    }
  }
  log.info({}, "stopped");
  return succeeded;
}
