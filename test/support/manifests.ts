import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  ClientTrafficPolicy,
  SecurityPolicy,
} from "@kubernetes-models/envoy-gateway/gateway.envoyproxy.io/v1alpha1";
import { HTTPRoute, ReferenceGrant } from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1";
import { DestinationRule } from "@kubernetes-models/istio/networking.istio.io/v1";
import { AuthorizationPolicy, PeerAuthentication } from "@kubernetes-models/istio/security.istio.io/v1";
import {
  PodMonitor,
  PrometheusRule,
  ServiceMonitor,
} from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";
import { kubernetesValidate } from "../../scripts/checkers.ts";
import { removeAtEnd } from "./at-end.ts";
import type { Resource } from "./chart.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The custom resources that we write: the place of their types, and the schema of their CRDs. */
const CUSTOM = {
  "monitoring.coreos.com/v1": {
    from: "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
    models: { ServiceMonitor, PodMonitor, PrometheusRule },
  },
  "security.istio.io/v1": {
    from: "@kubernetes-models/istio/security.istio.io/v1",
    models: { AuthorizationPolicy, PeerAuthentication },
  },
  "networking.istio.io/v1": {
    from: "@kubernetes-models/istio/networking.istio.io/v1",
    models: { DestinationRule },
  },
  "gateway.envoyproxy.io/v1alpha1": {
    from: "@kubernetes-models/envoy-gateway/gateway.envoyproxy.io/v1alpha1",
    models: { SecurityPolicy, ClientTrafficPolicy },
  },
  "gateway.networking.k8s.io/v1": {
    from: "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1",
    models: { HTTPRoute, ReferenceGrant },
  },
} as const;

/** The problems of custom resources by the schemas of their CRDs: values first, then unknown members. */
export function customProblems(resources: readonly Resource[]): readonly string[] {
  const wrong = resources.flatMap((one) => {
    const Model = customOf(one).model;
    try {
      new Model(one as never).validate(); // The compiler checks whether the value fits the model.
      return [];
    } catch (error) {
      return [`${one.kind} ${one.metadata.name}: ${String(error)}`];
    }
  });
  return [...wrong, ...unknownMembers(resources)];
}

/** The validators let unknown members pass, as a cluster would drop them; the compiler does not. */
function unknownMembers(resources: readonly Resource[]): readonly string[] {
  const lines = resources.map((one, at) => {
    const type = `import(${JSON.stringify(customOf(one).from)}).I${one.kind}`;
    return `export const r${at}: ${type} = ${JSON.stringify(one)};`;
  });
  const file = join(newFolder(), "resources.mts");
  writeFileSync(file, lines.join("\n"));
  const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--ignoreConfig"];
  const { status, stdout } = spawnSync("tsc", [...options, file], { encoding: "utf8", cwd: ROOT });
  return status === 0 ? [] : stdout.trim().split("\n");
}

/** Beside node_modules, so that the compiler finds the types. */
function newFolder(): string {
  mkdirSync(join(ROOT, ".test-results"), { recursive: true });
  const folder = mkdtempSync(join(ROOT, ".test-results/manifests-"));
  removeAtEnd(folder);
  return folder;
}

interface Custom {
  readonly from: string;
  readonly model: new (data: never) => { validate(): void };
}

function customOf({ apiVersion, kind }: Resource): Custom {
  const group = Object.entries(CUSTOM).find(([name]) => name === apiVersion)?.[1];
  const model = Object.entries(group?.models ?? {}).find(([name]) => name === kind)?.[1];
  if (group === undefined || model === undefined) throw new Error(`no schema of ${apiVersion} ${kind} here`);
  return { from: group.from, model };
}

export const isCustom = ({ apiVersion }: Resource): boolean => Object.hasOwn(CUSTOM, apiVersion);

/** The problems of built-in resources by the schemas of one Kubernetes version, unknown members included. */
export async function kubernetesProblems(
  resources: readonly Resource[],
  version: string,
): Promise<readonly string[]> {
  const { PATH } = process.env;
  const file = join(newFolder(), "resources.yaml");
  writeFileSync(file, resources.map((one) => JSON.stringify(one)).join("\n---\n"));
  const { status, stdout, stderr } = spawnSync(
    "python3",
    ["-m", "kubernetes_validate", "--kubernetes-version", version, "--strict", file],
    { encoding: "utf8", env: { PATH, PYTHONPATH: await kubernetesValidate() } },
  );
  const said = `${stdout}${stderr}`.trim().split("\n");
  const passed = said.filter((line) => line.includes(" passed for resource ")).length;
  return status === 0 && passed === resources.length ? [] : said.filter((line) => !line.startsWith("INFO"));
}
