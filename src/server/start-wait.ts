import { setTimeout as pause } from "node:timers/promises";
import { RegistryFrozen } from "../core/keys/registry-frozen.ts";
import { StoreUnavailable } from "../core/store-unavailable.ts";
import type { Log } from "../telemetry/log.ts";
import { createOutageLog } from "../telemetry/outage-log.ts";
import { OUTAGES } from "../telemetry/outage-messages.ts";

/** Pause between two attempts, so that the return of Redis is noticed well within a second. */
const RETRY_MS = 250;

/** Repeats a step of the start until the store takes it. Rejects with an error that does not pass by itself, and when the start is stopped. */
export type RetryUntilAvailable = <T>(step: () => Promise<T>) => Promise<T>;

export interface StartWait {
  readonly retry: RetryUntilAvailable;
  /** Stops the start. Resolves when it has ended. */
  stop(start: Promise<unknown>): Promise<void>;
}

export interface StartWaitOptions {
  readonly log: Log;
  /** Called when a step fails because the store does not respond or is frozen. Its rejection ends the start. */
  readonly onUnavailable: () => Promise<void>;
}

/** An instance that starts while Redis is down waits for it: after an exit, Kubernetes would back off for minutes. */
export function createStartWait({ log, onUnavailable }: StartWaitOptions): StartWait {
  const stopped = new AbortController();
  const outage = createOutageLog(log, OUTAGES.start);
  const retry: RetryUntilAvailable = async (step) => {
    for (;;) {
      try {
        const result = await step();
        outage.works();
        return result;
      } catch (error) {
        stopped.signal.throwIfAborted();
        if (!passesByItself(error)) throw error;
        outage.failed({ err: error });
        await onUnavailable();
        await pause(RETRY_MS, undefined, { signal: stopped.signal });
      }
    }
  };
  return {
    retry,
    async stop(start) {
      stopped.abort();
      await start.catch(() => undefined);
    },
  };
}

function passesByItself(error: unknown): boolean {
  if (error instanceof RegistryFrozen) return true;
  return error instanceof StoreUnavailable && error.rejectedSetting === undefined;
}
