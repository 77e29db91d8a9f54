import { mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Document, parse, stringify } from "yaml";
import { goProgram } from "../../scripts/checkers.ts";
import type { Child } from "../../scripts/child.ts";
import { startChild } from "../../scripts/child.ts";
import { removeAtEnd } from "./at-end.ts";
import { readResources } from "./chart.ts";
import { freeAddress } from "./latchkey.ts";

const SHIPPED = fileURLToPath(new URL("../../deploy/istio/", import.meta.url));

/** Addresses as `host:port`. */
export interface MeshAddresses {
  readonly authz: string;
  readonly app: string;
  /** At which the gateway listens. */
  readonly gateway: string;
}

export interface Istiod extends Child {
  /** The address at which Envoys get their configuration. */
  readonly xds: string;
  /** The address of `/ready`. */
  readonly http: string;
}

/**
 * Istio's control plane without Kubernetes: it reads the shipped resources from files. Each Service is a ServiceEntry with an
 * address of this machine.
 */
export async function startIstiod(addresses: MeshAddresses): Promise<Istiod> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-istio-"));
  removeAtEnd(folder);
  const resources = join(folder, "resources");
  await mkdir(resources);
  const { meshConfig } = parse(await readFile(join(SHIPPED, "mesh.yaml"), "utf8"));
  // The statistics of Istio's own proxy, which the Envoy of the tests lacks.
  await writeFile(join(folder, "mesh.yaml"), stringify({ ...meshConfig, enablePrometheusMerge: false }));
  const shipped = readResources(await readFile(join(SHIPPED, "authorization.yaml"), "utf8"));
  const all = [...shipped, ...ownResources(addresses)];
  await writeFile(join(resources, "all.yaml"), all.map((one) => stringify(one)).join("---\n"));
  const [xds, http, monitoring] = [await freeAddress(), await freeAddress(), await freeAddress()];
  const options = {
    registries: "",
    configDir: resources,
    meshConfig: join(folder, "mesh.yaml"),
    grpcAddr: xds,
    httpAddr: http,
    httpsAddr: "",
    secureGRPCAddr: "",
    monitoringAddr: monitoring,
    ctrlz_port: "0",
  };
  const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
  const child = await startChild(await goProgram("istiod"), ["discovery", ...args], {
    cwd: folder,
    env: { PATH: process.env["PATH"], HOME: folder, ...WITHOUT_ISTIO_PROXY },
  });
  return { ...child, xds, http };
}

/** Filters that only Istio's build of Envoy has. */
const WITHOUT_ISTIO_PROXY = {
  PILOT_ENABLE_ALPN_FILTER: "false",
  PILOT_ENABLE_METADATA_EXCHANGE: "false",
  PILOT_ENABLE_TELEMETRY_LABEL: "false",
  ENABLE_CA_SERVER: "false",
  PILOT_CERT_PROVIDER: "none",
};

function ownResources({ authz, app, gateway }: MeshAddresses): readonly object[] {
  return [
    service("latchkey", "latchkey", { number: 9191, name: "grpc", protocol: "GRPC" }, authz),
    service("app", "default", { number: 8080, name: "http", protocol: "HTTP" }, app),
    {
      apiVersion: "networking.istio.io/v1",
      kind: "Gateway",
      metadata: { name: "gateway", namespace: "istio-ingress" },
      spec: {
        selector: { istio: "ingress" },
        servers: [
          { port: { number: Number(gateway.split(":")[1]), name: "http", protocol: "HTTP" }, hosts: ["*"] },
        ],
      },
    },
    {
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      metadata: { name: "app", namespace: "istio-ingress" },
      spec: {
        hosts: ["*"],
        gateways: ["istio-ingress/gateway"],
        http: [
          { route: [{ destination: { host: "app.default.svc.cluster.local", port: { number: 8080 } } }] },
        ],
      },
    },
  ];
}

function service(
  name: string,
  namespace: string,
  port: { readonly number: number; readonly name: string; readonly protocol: string },
  target: string,
): object {
  const [address, at] = target.split(":");
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: { name, namespace },
    spec: {
      hosts: [`${name}.${namespace}.svc.cluster.local`],
      location: "MESH_INTERNAL",
      resolution: "STATIC",
      ports: [port],
      endpoints: [{ address, ports: { [port.name]: Number(at) } }],
    },
  };
}

/** The bootstrap of an Envoy that istiod configures as the ingress gateway. */
export function gatewayBootstrap({ xds }: Istiod): Document {
  const [address, port] = xds.split(":");
  const ads = { ads: {}, resource_api_version: "V3" };
  const endpoint = { address: { socket_address: { address, port_value: Number(port) } } };
  const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  return new Document({
    admin: { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } },
    node: {
      id: "router~127.0.0.1~gateway.istio-ingress~istio-ingress.svc.cluster.local",
      cluster: "gateway.istio-ingress",
      metadata: { NAMESPACE: "istio-ingress", LABELS: { istio: "ingress" }, CLUSTER_ID: "Kubernetes" },
    },
    dynamic_resources: {
      ads_config: {
        api_type: "GRPC",
        transport_api_version: "V3",
        grpc_services: [{ envoy_grpc: { cluster_name: "xds" } }],
      },
      lds_config: ads,
      cds_config: ads,
    },
    static_resources: {
      clusters: [
        {
          name: "xds",
          type: "STATIC",
          connect_timeout: "1s",
          typed_extension_protocol_options: {
            [options]: {
              "@type": `type.googleapis.com/${options}`,
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          load_assignment: { cluster_name: "xds", endpoints: [{ lb_endpoints: [{ endpoint }] }] },
        },
      ],
    },
  });
}
