import type { PartState } from "./api/ops-routes.ts";
import { opsRoutes } from "./api/ops-routes.ts";
import { startHttpServer } from "./api/server.ts";
import type { Closing } from "./closing.ts";
import { callFaulted } from "./fault-words.ts";
import type { Settings } from "./settings.ts";
import type { Log } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";

/** What an instance says of itself, by part. */
export type Readiness = () => Readonly<Record<"instance" | "revocations" | "secrets", PartState>>;

export interface OpsDoor {
  readonly address: string;
  /** From now on it tells this, instead of that it is starting. */
  tell(readiness: Readiness): void;
}

/** Whoever still reads metrics then is cut off. */
const CLOSE_GRACE_MS = 1000;

const STARTING: Readiness = () => ({ instance: "starting", revocations: "not_ready", secrets: "not_ready" });

/** Opens the first door, and the last to close: it tells that an instance is on its way up, or down. */
export async function openOpsDoor(
  { settings, log, closing }: { readonly settings: Settings; readonly log: Log; readonly closing: Closing },
  metrics: Metrics,
): Promise<OpsDoor> {
  let readiness = STARTING;
  const door = await startHttpServer({
    listen: settings.OPS_LISTEN,
    endpoints: opsRoutes({ metrics: metrics.read, readiness: () => readiness() }),
    faulted: (error, requestId) => log.error({ err: error, requestId }, callFaulted("the ops door")),
  });
  closing.later("the ops door", () => door.close(CLOSE_GRACE_MS));
  return {
    address: door.address,
    tell(told) {
      readiness = told;
    },
  };
}
