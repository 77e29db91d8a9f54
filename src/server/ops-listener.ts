import { startHttpServer } from "../api/http/server.ts";
import { shareRendering } from "../api/http/shared-rendering.ts";
import type { OpsPorts } from "../api/ops/ops-routes.ts";
import { opsRoutes } from "../api/ops/ops-routes.ts";
import { callFailed } from "../telemetry/fault-messages.ts";
import type { Readiness } from "./readiness.ts";
import { isReady, STARTING } from "./readiness.ts";
import type { Runtime } from "./runtime.ts";

/** Serves `/metrics`, `/livez` and `/readyz` of an instance, or hands them to its supervisor. */
export interface OpsListener {
  readonly address: string;
  /** From now on `/readyz` reports this. Before, the instance is starting. */
  setReadiness(readiness: Pick<Readiness, "states" | "server">): void;
}

/** Open calls at the close end after this time. */
const CLOSE_GRACE_MS = 1000;

/** Opens first and closes last, so that it reports the whole start and the whole stop. */
export async function openOpsListener(runtime: Omit<Runtime, "clock">): Promise<OpsListener> {
  let reported: Pick<Readiness, "states" | "server"> = { states: () => STARTING, server: () => undefined };
  const readiness = () => {
    const [parts, redis] = [reported.states(), reported.server()];
    return { ready: isReady(parts), parts, ...(redis && { redis }) };
  };
  const address = await openOps(runtime, { metrics: runtime.metrics.read, readiness });
  return {
    address,
    setReadiness(readiness) {
      reported = readiness;
    },
  };
}

/** Opens the listener with the given sources. Returns its address. */
export async function openOps(
  { settings, log, shutdown }: Pick<Runtime, "settings" | "log" | "shutdown">,
  ports: OpsPorts,
): Promise<string> {
  const name = "the ops listener";
  const server = await startHttpServer({
    listen: settings.OPS_LISTEN,
    endpoints: opsRoutes({ ...ports, metrics: shareRendering(ports.metrics) }),
    onFault: (error, requestId) => log.error({ err: error, requestId }, callFailed(name)),
  });
  shutdown.defer(name, () => server.close(CLOSE_GRACE_MS));
  return server.address;
}
