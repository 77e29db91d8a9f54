import type { Document } from "yaml";
import { envoyBinary } from "../../scripts/envoy-binary.ts";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import {
  HTTP_MANAGER,
  readExample,
  setClusterTargets,
  setListenerPort,
  startEnvoyProcess,
} from "../../scripts/envoy-process.ts";
import { LOAD_CORE, SERVER_CORE } from "../load.ts";
import { pin } from "../processes.ts";

const FILTERS = [...HTTP_MANAGER, "http_filters"];
const ROUTE = [...HTTP_MANAGER, "route_config", "virtual_hosts", 0, "routes", 0];

/** The upstream: a separate Envoy that responds to everything itself and is faster than the measured servers. */
export async function startUpstreamEnvoy(): Promise<EnvoyProcess> {
  return start(LOAD_CORE, (bootstrap) => {
    withFilters([])(bootstrap);
    const response = { status: 200, body: { inline_string: "ok" } };
    bootstrap.deleteIn([...ROUTE, "route"]);
    bootstrap.setIn([...ROUTE, "direct_response"], bootstrap.createNode(response));
  });
}

/** One Envoy on one core, with the shipped sidecar.yaml without its access log. */
export async function startPinnedEnvoy(
  upstream: EnvoyProcess,
  edit: (bootstrap: Document) => void,
): Promise<EnvoyProcess> {
  return start(SERVER_CORE, (bootstrap) => {
    setClusterTargets(bootstrap, "upstream", `127.0.0.1:${upstream.port}`);
    edit(bootstrap);
  });
}

async function start(core: number, edit: (bootstrap: Document) => void): Promise<EnvoyProcess> {
  const bootstrap = await readExample("sidecar");
  setListenerPort(bootstrap, 0);
  bootstrap.deleteIn([...HTTP_MANAGER, "access_log"]);
  edit(bootstrap);
  const envoy = await startEnvoyProcess(await envoyBinary(), bootstrap);
  await pin(envoy.pid, core);
  return envoy;
}

/** Envoy's timeout for a call. On a busy machine calls take long, which shows in the times. They must not fail. */
export const CALL_TIMEOUT = "10s";

/** Sends Checks to this server by ext_authz, as the sidecar does. */
export function withAuthorization(grpc: string) {
  return (bootstrap: Document): void => {
    setClusterTargets(bootstrap, "latchkey", grpc);
    bootstrap.setIn([...FILTERS, 0, "typed_config", "grpc_service", "timeout"], CALL_TIMEOUT);
  };
}

/** Replaces the filters before the router. */
export function withFilters(filters: readonly object[], clusters: readonly object[] = []) {
  return (bootstrap: Document): void => {
    const router = bootstrap.getIn([...FILTERS, 1]);
    bootstrap.setIn(FILTERS, bootstrap.createNode([...filters, router]));
    for (const cluster of clusters)
      bootstrap.addIn(["static_resources", "clusters"], bootstrap.createNode(cluster));
  };
}
