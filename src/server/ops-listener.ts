import { startHttpServer } from "../api/http/server.ts";
import { shareRendering } from "../api/http/shared-rendering.ts";
import type { OpsPorts, PartState } from "../api/ops/ops-routes.ts";
import { opsRoutes } from "../api/ops/ops-routes.ts";
import type { Settings } from "../config/settings.ts";
import { callFaulted } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics/metrics.ts";
import type { Shutdown } from "./shutdown.ts";

/** What each part of an instance can do; it is ready when all are. */
export type ComponentStates = Readonly<
  Record<"instance" | "revocations" | "secrets" | "clock", PartState> & { store?: PartState }
>;

/** What a door of its own, or the supervisor's, is told by an instance. */
export interface OpsListener {
  readonly address: string;
  /** From now on it tells this, instead of that it is starting. */
  setReadiness(parts: () => ComponentStates): void;
}

/** What is known of the fleet before the store has answered. */
export const UNKNOWN_FLEET = { revocations: "not_ready", secrets: "not_ready", clock: "not_ready" } as const;
export const STARTING: ComponentStates = { instance: "starting", ...UNKNOWN_FLEET };

/** Whoever still reads metrics then is cut off. */
const CLOSE_GRACE_MS = 1000;

export interface OpsOptions {
  readonly settings: Settings;
  readonly log: Log;
  readonly closing: Shutdown;
}

/** Opens the first door, and the last to close: it tells that an instance is on its way up, or down. */
export async function openOpsListener(
  options: OpsOptions,
  metrics: Pick<Metrics, "read">,
): Promise<OpsListener> {
  let parts = () => STARTING;
  const readiness = () => ({ ready: isReady(parts()), parts: parts() });
  const address = await openOps(options, { metrics: metrics.read, readiness });
  return {
    address,
    setReadiness(told) {
      parts = told;
    },
  };
}

export function isReady(parts: Readonly<Record<string, PartState>>): boolean {
  return Object.values(parts).every((state) => state === "ready");
}

/** The door itself, whoever answers at it. Gives its address. */
export async function openOps({ settings, log, closing }: OpsOptions, ports: OpsPorts): Promise<string> {
  const door = await startHttpServer({
    listen: settings.OPS_LISTEN,
    endpoints: opsRoutes({ ...ports, metrics: shareRendering(ports.metrics) }),
    onFault: (error, requestId) => log.error({ err: error, requestId }, callFaulted("the ops door")),
  });
  closing.defer("the ops door", () => door.close(CLOSE_GRACE_MS));
  return door.address;
}
