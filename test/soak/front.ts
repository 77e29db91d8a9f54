import { Agent } from "node:http";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { EXT_AUTHZ, HTTP_MANAGER, startEnvoy } from "../support/envoy.ts";
import { sendRaw } from "../support/raw-request.ts";
import type { SoakedListener } from "./listener.ts";

/** On a busy machine a Check takes longer than Envoy's default timeout. */
const CHECK_TIMEOUT = "5s";
const ROUTE = [...HTTP_MANAGER, "route_config", "virtual_hosts", 0, "routes", 0];
/** Of a cluster that the route does not use. */
const NO_PORT = 9;

export type Verdict = "allowed" | "denied" | "unavailable";

export interface Answer {
  readonly verdict: Verdict;
  /** Latchkey's reason of a denial. */
  readonly reason: string;
}

export interface SentRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A real Envoy, which asks the process of a soak for each request and then responds itself. */
export interface Front {
  send(request: SentRequest): Promise<Answer>;
  /** Its open connections to the process. */
  connections(): Promise<number>;
  /** Kills it and starts another one. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startFront(listener: SoakedListener): Promise<Front> {
  const start = (): Promise<EnvoyProcess> =>
    startEnvoy({
      authzTarget: listener.address,
      upstreamPort: NO_PORT,
      edit(bootstrap) {
        bootstrap.setIn([...EXT_AUTHZ, "grpc_service", "timeout"], CHECK_TIMEOUT);
        bootstrap.setIn(
          ROUTE,
          bootstrap.createNode({ match: { prefix: "/" }, direct_response: { status: 200 } }),
        );
        bootstrap.deleteIn([...HTTP_MANAGER, "access_log"]);
        listener.editEnvoy(bootstrap);
      },
    });
  const agent = new Agent({ keepAlive: true });
  let envoy = await start();
  return {
    async send(request) {
      const answer = await sendRaw(envoy.port, { ...request, agent }).catch(() => undefined);
      const reason = String(answer?.headers["x-latchkey-reason"] ?? "");
      if (answer?.status === 200) return { verdict: "allowed", reason };
      return { verdict: reason === "" ? "unavailable" : "denied", reason };
    },
    async connections() {
      const stat = "cluster.latchkey.upstream_cx_active";
      const response = await fetch(`http://127.0.0.1:${envoy.adminPort}/stats?filter=^${stat}$`);
      return Number((await response.text()).slice(`${stat}: `.length));
    },
    async restart() {
      await envoy.stop("SIGKILL");
      envoy = await start();
    },
    async stop() {
      agent.destroy();
      await envoy.stop("SIGKILL");
    },
  };
}
