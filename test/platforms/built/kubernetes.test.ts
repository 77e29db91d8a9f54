import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { helm } from "../../../scripts/checkers.ts";
import { customResourceFiles, KUBERNETES_VERSION } from "../../../scripts/kubernetes-binaries.ts";
import { PLATFORMS, writeNote } from "../../../scripts/platforms.ts";
import { removeAtEnd } from "../../support/at-end.ts";
import type { Values } from "../../support/chart.ts";
import { CHART, readResources } from "../../support/chart.ts";
import { LEAST, SHAPES } from "../../support/chart-shapes.ts";
import type { Kubernetes } from "../../support/kubernetes.ts";
import { startKubernetes } from "../../support/kubernetes.ts";

/** Kinds of the Prometheus operator, whose CRDs no registry has that this machine reaches: every member is accepted. */
const MONITORING = ["ServiceMonitor", "PodMonitor", "PrometheusRule"];
const list = z.object({ items: z.array(z.object({ metadata: z.object({ name: z.string() }) })) });
const plural = (kind: string) => `${kind.toLowerCase()}s`;

describe(PLATFORMS["built/kubernetes.test.ts"], () => {
  let kubernetes: Kubernetes;
  let folder: string;
  let program: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "latchkey-cluster-"));
    removeAtEnd(folder);
    program = await helm();
    kubernetes = await startKubernetes();
    const version = z.object({ stdout: z.string() }).parse(runHelm("version", "--short")).stdout.trim();
    writeNote("built/kubernetes.test.ts", {
      versions: `kube-apiserver ${KUBERNETES_VERSION}, Helm ${version}`,
    });
    for (const name of ["latchkey", "istio-ingress"])
      await created("/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name } });
    for (const file of await customResourceFiles())
      for (const one of readResources(readFileSync(file, "utf8")))
        if (one.kind === "CustomResourceDefinition")
          await created("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", one);
    for (const kind of MONITORING)
      await created("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", anyCustomResource(kind));
    await established();
  });

  afterAll(() => kubernetes?.stop());

  async function created(path: string, resource: object): Promise<void> {
    const { status, body } = await kubernetes.call("POST", path, resource);
    expect([status, status === 201 ? "" : body]).toEqual([201, ""]);
  }

  /** A CRD is served a moment after it was created. */
  async function established(): Promise<void> {
    const paths = [
      "/apis/gateway.envoyproxy.io/v1alpha1/securitypolicies",
      "/apis/security.istio.io/v1/authorizationpolicies",
      "/apis/gateway.networking.k8s.io/v1/referencegrants",
      ...MONITORING.map((kind) => `/apis/monitoring.coreos.com/v1/${plural(kind)}`),
    ];
    const served = async () => {
      const answers = await Promise.all(paths.map((path) => kubernetes.call("GET", path)));
      expect(answers.map(({ status }) => status)).toEqual(paths.map(() => 200));
    };
    await vi.waitFor(served, { timeout: 60_000, interval: 500 });
  }

  function runHelm(...args: readonly string[]) {
    const { PATH } = process.env;
    const env = { PATH, HOME: folder, KUBECONFIG: kubernetes.kubeconfig };
    return spawnSync(program, args, { encoding: "utf8", env, maxBuffer: 1 << 26 });
  }

  function release(command: "install" | "upgrade", name: string, values: Values, chart = CHART): string {
    const file = join(folder, `${name}.json`);
    writeFileSync(file, JSON.stringify(values));
    const { status, stdout, stderr } = runHelm(command, name, chart, "-n", "latchkey", "-f", file);
    return status === 0 ? "" : `${stdout}${stderr}`;
  }

  async function names(path: string): Promise<readonly string[]> {
    const { body } = await kubernetes.call("GET", path);
    return list.parse(JSON.parse(body)).items.map(({ metadata }) => metadata.name);
  }

  test.each(Object.entries(SHAPES))(
    "the API server accepts every resource of the chart %s",
    (shape, values) => {
      const name = `r${Object.keys(SHAPES).indexOf(shape)}`;
      const own = "fullnameOverride" in values ? {} : { fullnameOverride: name };
      expect(release("install", name, { ...values, ...own })).toBe("");
      expect(runHelm("uninstall", name, "-n", "latchkey").status).toBe(0);
    },
  );

  test("a release with an open listener is upgraded to the closed default, and rolled back", async () => {
    const policies = "/apis/networking.k8s.io/v1/namespaces/latchkey/networkpolicies";
    const open = { networkPolicy: { enabled: false }, allowOpenGrpc: true, replicas: 1 };
    expect(release("install", "latchkey", open)).toBe("");
    expect(await names(policies)).toEqual([]);
    expect(release("upgrade", "latchkey", { ...LEAST, monitoring: { monitors: true, rules: true } })).toBe(
      "",
    );
    expect(await names(policies)).toEqual(["latchkey"]);
    expect(await names("/apis/monitoring.coreos.com/v1/namespaces/latchkey/servicemonitors")).toEqual([
      "latchkey",
    ]);
    expect(runHelm("rollback", "latchkey", "1", "-n", "latchkey").status).toBe(0);
    expect(await names(policies)).toEqual([]);
  });

  test.each(["istio/authorization.yaml", "envoy-gateway/latchkey.yaml"])(
    "the API server accepts deploy/%s by the CRDs' own schemas, with no unknown member",
    (path) => {
      const text = readFileSync(fileURLToPath(new URL(`../../../deploy/${path}`, import.meta.url)), "utf8");
      expect(release("install", path.replace(/\W.*/, ""), {}, chartOf(text))).toBe("");
    },
  );

  test("the API server rejects an unknown member and an invalid value", () => {
    const path = fileURLToPath(new URL("../../../deploy/envoy-gateway/latchkey.yaml", import.meta.url));
    const text = readFileSync(path, "utf8");
    const renamed = (name: string) =>
      text.replaceAll("name: latchkey\n", `name: ${name}\n`).replace("latchkey-key-api", name);
    const unknown = chartOf(renamed("unknown").replace("failOpen: false", "failOpened: false"));
    expect(release("install", "unknown", {}, unknown)).toContain("failOpened");
    const invalid = chartOf(renamed("invalid").replace("statusOnError: 503", "statusOnError: 200"));
    expect(release("install", "invalid", {}, invalid)).toContain("statusOnError");
  });

  /** A chart that consists of these resources, so that Helm sends them as it sends ours. */
  function chartOf(text: string): string {
    const chart = mkdtempSync(join(folder, "chart-"));
    mkdirSync(join(chart, "templates"));
    writeFileSync(join(chart, "Chart.yaml"), "apiVersion: v2\nname: resources\nversion: 0.0.1\n");
    writeFileSync(join(chart, "templates/all.yaml"), text);
    return chart;
  }
});

function anyCustomResource(kind: string): object {
  const [group, name] = ["monitoring.coreos.com", plural(kind)];
  const openAPIV3Schema = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${name}.${group}` },
    spec: {
      group,
      names: { kind, plural: name },
      scope: "Namespaced",
      versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema } }],
    },
  };
}
