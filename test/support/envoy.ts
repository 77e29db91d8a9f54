import type { Document } from "yaml";
import { envoyBinary } from "../../scripts/envoy-binary.ts";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import {
  HTTP_MANAGER,
  readSidecar,
  setClusterTarget,
  setListenerPort,
  startEnvoyProcess,
} from "../../scripts/envoy-process.ts";
// For its effect: an Envoy that a failed test left running ends with the tests.
import "./at-end.ts";

export { EXT_AUTHZ, HTTP_MANAGER, LISTENER } from "../../scripts/envoy-process.ts";

export type EnvoyOptions = EnvoyAuthz & {
  readonly upstreamPort: number;
  readonly version?: string;
  /** False: Envoy leaves paths as they come, as it does without the lines of our example. */
  readonly normalise?: boolean;
  /** Changes the example by `setIn` and `deleteIn`, at the paths exported here. */
  readonly edit?: (bootstrap: Document) => void;
};

type EnvoyAuthz =
  | { readonly authzPort: number; readonly authzTarget?: never }
  /** `host:port` or `unix:/path`. */
  | { readonly authzTarget: string; readonly authzPort?: never };

const NORMALISATION = ["normalize_path", "merge_slashes", "path_with_escaped_slashes_action"];

/** A real Envoy with the shipped sidecar.yaml, of which only the addresses are changed. */
export async function startEnvoy(options: EnvoyOptions): Promise<EnvoyProcess> {
  const binary = await envoyBinary(options.version);
  const bootstrap = await readSidecar();
  setListenerPort(bootstrap, 0);
  setClusterTarget(bootstrap, "latchkey", options.authzTarget ?? `127.0.0.1:${options.authzPort}`);
  setClusterTarget(bootstrap, "upstream", `127.0.0.1:${options.upstreamPort}`);
  if (options.normalise === false) {
    for (const name of NORMALISATION) bootstrap.deleteIn([...HTTP_MANAGER, name]);
  }
  options.edit?.(bootstrap);
  return startEnvoyProcess(binary, bootstrap);
}
