import { spawnSync } from "node:child_process";
import type { Document } from "yaml";
import { envoyBinary } from "../../scripts/envoy-binary.ts";
import type { EnvoyProcess, EXAMPLES } from "../../scripts/envoy-process.ts";
import {
  HTTP_MANAGER,
  readExample,
  setClusterTargets,
  setListenerPort,
  startEnvoyProcess,
} from "../../scripts/envoy-process.ts";
// Imported for its effect: an Envoy that a failed test left running ends with the tests.
import "./at-end.ts";

export { EXT_AUTHZ, HTTP_MANAGER, LISTENER } from "../../scripts/envoy-process.ts";

export type EnvoyOptions = EnvoyAuthz & {
  readonly upstreamPort: number;
  readonly version?: string;
  /** False: Envoy leaves paths unchanged, as it does without these lines of our example. */
  readonly normalise?: boolean;
  /** Changes the example by `setIn` and `deleteIn`, at the paths exported here. */
  readonly edit?: (bootstrap: Document) => void;
};

type EnvoyAuthz =
  | { readonly authzPort: number; readonly authzTarget?: never }
  /** `host:port` or `unix:/path`. */
  | { readonly authzTarget: string; readonly authzPort?: never };

const LATCHKEY_CLUSTER = ["static_resources", "clusters", 0];
const KEEPALIVE = [
  ...["typed_extension_protocol_options", "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"],
  ...["explicit_http_config", "http2_protocol_options", "connection_keepalive"],
];
const NORMALISATION = ["normalize_path", "merge_slashes", "path_with_escaped_slashes_action"];

/** A real Envoy with the shipped sidecar.yaml, in which the addresses are changed, and its patience with connections. */
export async function startEnvoy(options: EnvoyOptions): Promise<EnvoyProcess> {
  const { version, normalise, edit } = options;
  const clusters = {
    latchkey: [options.authzTarget ?? `127.0.0.1:${options.authzPort}`],
    upstream: [`127.0.0.1:${options.upstreamPort}`],
  };
  return startExample("sidecar", {
    clusters,
    ...(version !== undefined && { version }),
    edit(bootstrap) {
      // On a busy machine a slow connection is no dead one.
      bootstrap.setIn([...LATCHKEY_CLUSTER, "connect_timeout"], "10s");
      bootstrap.setIn([...LATCHKEY_CLUSTER, ...KEEPALIVE, "timeout"], "60s");
      if (normalise === false) for (const name of NORMALISATION) bootstrap.deleteIn([...HTTP_MANAGER, name]);
      edit?.(bootstrap);
    },
  });
}

export interface ExampleOptions {
  /** The endpoints of each cluster, as `host:port` or `unix:/path`. */
  readonly clusters: Readonly<Record<string, readonly string[]>>;
  /** The folder of its files, in place of the folders that it names. */
  readonly folders?: Readonly<Record<string, string>>;
  readonly version?: string;
  readonly edit?: (bootstrap: Document) => void;
}

/** A real Envoy with one of the shipped examples, in which only addresses and folders are changed. */
export async function startExample(
  name: (typeof EXAMPLES)[number],
  { clusters, folders, version, edit }: ExampleOptions,
): Promise<EnvoyProcess> {
  const [binary, bootstrap] = await Promise.all([envoyBinary(version), readExample(name, folders)]);
  setListenerPort(bootstrap, 0);
  for (const [cluster, targets] of Object.entries(clusters))
    setClusterTargets(bootstrap, cluster, ...targets);
  edit?.(bootstrap);
  return startEnvoyProcess(binary, bootstrap);
}

/** Envoy's validation of an unchanged example: `OK`, or its errors and deprecation warnings. */
export async function validateExample(
  name: (typeof EXAMPLES)[number],
  folders: Readonly<Record<string, string>>,
  version?: string,
): Promise<string> {
  const [binary, bootstrap] = await Promise.all([envoyBinary(version), readExample(name, folders)]);
  const args = ["--mode", "validate", "--config-yaml", JSON.stringify(bootstrap)];
  const { status, stdout, stderr } = spawnSync(binary, args, { encoding: "utf8" });
  const fine = status === 0 && stdout.includes("OK") && !/deprecated/i.test(stderr);
  return fine ? "OK" : `${stdout}${stderr}`;
}
