import { mkdir, mkdtemp, readFile, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { goProgram } from "../../scripts/checkers.ts";
import type { Child } from "../../scripts/child.ts";
import { startChild } from "../../scripts/child.ts";
import { envoyBinary } from "../../scripts/envoy-binary.ts";
import { run } from "../../scripts/run.ts";
import { removeAtEnd } from "./at-end.ts";
import { readResources } from "./chart.ts";

/** The Envoy that Envoy Gateway 1.9.1 starts. */
export const GATEWAY_ENVOY = "1.39.1";

const SHIPPED = fileURLToPath(new URL("../../deploy/envoy-gateway/latchkey.yaml", import.meta.url));
const GROUP = "gateway.envoyproxy.io";

export interface GatewayOptions {
  readonly port: number;
  /** Addresses as `host:port`. */
  readonly authz: string;
  readonly keyApi: string;
  readonly app: string;
  /** Changes the text of the shipped resources. */
  readonly edit?: (text: string) => string;
  /** More resources. */
  readonly more?: readonly object[];
}

/**
 * Envoy Gateway without Kubernetes: it reads the shipped resources from a file, and starts Envoy itself. It always listens on its
 * own ports 8081, 18000 to 18002, 19000 and 19001. Instead of a Service, which it knows only in Kubernetes, each reference names a
 * Backend with an address of this machine.
 */
export async function startEnvoyGateway(options: GatewayOptions): Promise<Child> {
  const [program, envoy] = await Promise.all([goProgram("envoy-gateway"), envoyBinary(GATEWAY_ENVOY)]);
  const folder = await mkdtemp(join(tmpdir(), "latchkey-gateway-"));
  removeAtEnd(folder);
  const place = (name: string) => join(folder, name);
  const kept = place(`data/envoy-versions/${GATEWAY_ENVOY}/bin`);
  await Promise.all([mkdir(kept, { recursive: true }), mkdir(place("resources"))]);
  await symlink(envoy, join(kept, "envoy"));
  await writeFile(place("resources/all.yaml"), await resourcesOf(options));
  await writeFile(place("gateway.yaml"), stringify(configOf(place)));
  await run(program, ["certgen", "--local", "--config-home", place("config")]);
  return startChild(program, ["server", "--config-path", place("gateway.yaml")], {
    env: { PATH: process.env["PATH"], HOME: folder },
  });
}

function configOf(place: (name: string) => string): object {
  const homes = {
    configHome: place("config"),
    dataHome: place("data"),
    stateHome: place("state"),
    runtimeDir: place("runtime"),
  };
  return {
    apiVersion: `${GROUP}/v1alpha1`,
    kind: "EnvoyGateway",
    gateway: { controllerName: `${GROUP}/gatewayclass-controller` },
    provider: {
      type: "Custom",
      custom: {
        resource: { type: "File", file: { paths: [place("resources")] } },
        infrastructure: { type: "Host", host: homes },
      },
    },
    extensionApis: { enableBackend: true },
  };
}

async function resourcesOf(options: GatewayOptions): Promise<string> {
  const shipped = (options.edit ?? String)(await readFile(SHIPPED, "utf8"));
  const local = shipped
    // The grant between namespaces is checked by a Kubernetes API server.
    .replace("{ name: latchkey, namespace: latchkey, port: 9191 }", ref("latchkey"))
    .replace("{ name: latchkey, port: 8000 }", ref("key-api"));
  const own = [
    {
      ...head("gateway.networking.k8s.io/v1", "GatewayClass", "eg"),
      spec: {
        controllerName: `${GROUP}/gatewayclass-controller`,
        parametersRef: { group: GROUP, kind: "EnvoyProxy", name: "host", namespace: "default" },
      },
    },
    {
      ...head(`${GROUP}/v1alpha1`, "EnvoyProxy", "host"),
      spec: { provider: { type: "Host", host: { envoyVersion: GATEWAY_ENVOY } } },
    },
    {
      ...head("gateway.networking.k8s.io/v1", "Gateway", "eg"),
      spec: {
        gatewayClassName: "eg",
        listeners: [
          {
            name: "http",
            protocol: "HTTP",
            port: options.port,
            allowedRoutes: { namespaces: { from: "All" } },
          },
        ],
      },
    },
    backend("latchkey", "default", options.authz, ["gateway.envoyproxy.io/h2c"]),
    backend("key-api", "latchkey", options.keyApi),
    backend("app", "default", options.app),
    {
      ...head("gateway.networking.k8s.io/v1", "HTTPRoute", "app"),
      spec: {
        parentRefs: [{ name: "eg" }],
        rules: [{ backendRefs: [{ group: GROUP, kind: "Backend", name: "app" }] }],
      },
    },
    ...(options.more ?? []),
  ];
  return [...readResources(local), ...own].map((one) => stringify(one)).join("---\n");
}

const ref = (name: string): string => `{ group: ${GROUP}, kind: Backend, name: ${name} }`;

function head(apiVersion: string, kind: string, name: string, namespace = "default"): object {
  return { apiVersion, kind, metadata: { name, namespace } };
}

function backend(name: string, namespace: string, target: string, protocols?: readonly string[]): object {
  const [address, port] = target.split(":");
  const spec = {
    endpoints: [{ ip: { address, port: Number(port) } }],
    ...(protocols && { appProtocols: protocols }),
  };
  return { ...head(`${GROUP}/v1alpha1`, "Backend", name, namespace), spec };
}
