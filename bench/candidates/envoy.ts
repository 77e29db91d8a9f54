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

/** The service behind: an Envoy of its own, which answers everything itself and is quicker than what is measured. */
export async function startUpstreamEnvoy(): Promise<EnvoyProcess> {
  return start(LOAD_CORE, (bootstrap) => {
    withFilters([])(bootstrap);
    const answer = { status: 200, body: { inline_string: "ok" } };
    bootstrap.deleteIn([...ROUTE, "route"]);
    bootstrap.setIn([...ROUTE, "direct_response"], bootstrap.createNode(answer));
  });
}

/** One Envoy on one core, with the shipped sidecar.yaml: all that it lacks is the access log. */
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

/** Asks that server by ext_authz, as the sidecar does. */
export function asking(grpc: string) {
  return (bootstrap: Document): void => setClusterTargets(bootstrap, "latchkey", grpc);
}

/** The filters before the router are these alone. */
export function withFilters(filters: readonly object[], clusters: readonly object[] = []) {
  return (bootstrap: Document): void => {
    const router = bootstrap.getIn([...FILTERS, 1]);
    bootstrap.setIn(FILTERS, bootstrap.createNode([...filters, router]));
    for (const cluster of clusters)
      bootstrap.addIn(["static_resources", "clusters"], bootstrap.createNode(cluster));
  };
}
