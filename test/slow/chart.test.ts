import { describe, expect, test } from "vitest";
import { byKind, renderChart, runHelm } from "../support/chart.ts";
import { LEAST, SHAPES } from "../support/chart-shapes.ts";
import { customProblems, isCustom, kubernetesProblems } from "../support/manifests.ts";

/** The minimum version of Chart.yaml, and the newest that the schemas support. */
const KUBERNETES_VERSIONS = ["1.30", "1.37"];

describe.each(Object.entries(SHAPES))("the chart %s", (_, values) => {
  test("the chart passes Helm's linter without a warning", async () => {
    const { status, said } = await runHelm(["lint", "--strict"], values);
    expect([status, said]).toEqual([0, expect.not.stringContaining("WARNING")]);
  });

  test("the oldest and the newest supported Kubernetes accept what the chart renders", async () => {
    const builtIn = (await renderChart(values)).filter((one) => !isCustom(one));
    for (const version of KUBERNETES_VERSIONS) expect(await kubernetesProblems(builtIn, version)).toEqual([]);
  });
});

test("the Prometheus operator's schemas accept what the chart renders for it", async () => {
  const shapes = await Promise.all(Object.values(SHAPES).map((values) => renderChart(values)));
  const custom = shapes.flat().filter(isCustom);
  expect(new Set(custom.map(({ kind }) => kind))).toEqual(
    new Set(["ServiceMonitor", "PodMonitor", "PrometheusRule"]),
  );
  expect(customProblems(custom)).toEqual([]);
});

test("the schema checks detect invalid resources", async () => {
  const resources = await renderChart({ ...LEAST, monitoring: { monitors: true } });
  const spoil = (kind: string, spec: object) => [{ ...byKind(resources, kind), spec }];
  const wrong = await kubernetesProblems(spoil("PodDisruptionBudget", { minimum: 1 }), "1.37");
  expect(wrong.join()).toContain("'minimum' was unexpected");
  expect(customProblems(spoil("ServiceMonitor", { selector: {}, endpoints: 1 })).join()).toContain(
    "endpoints",
  );
  const unknown = customProblems(spoil("ServiceMonitor", { selector: {}, endpoints: [], endpoint: [] }));
  expect(unknown.join()).toContain("'\"endpoint\"' does not exist");
});

describe("invalid values are rejected with a message", () => {
  test.each([
    ["an unknown value", { replicaCount: 2 }, "replicaCount"],
    ["an unknown mode", { mode: "daemonset" }, "mode"],
    ["no Redis", { secrets: ["JWT_SECRET"] }, "REDIS_URL"],
    ["a secret among the settings", { settings: { JWT_SECRET: "x" } }, "JWT_SECRET"],
    ["a listener that the chart decides", { settings: { GRPC_LISTEN: "0.0.0.0:1" } }, "GRPC_LISTEN"],
    ["more processes than a pod has listeners for", { settings: { WORKERS: 2 } }, "WORKERS"],
    ["an invalid name of a setting", { settings: { "log-level": "warn" } }, "log-level"],
    ["a Secret without a name", { secretName: "" }, "secretName"],
    ["another Secret without a key", { secretsElsewhere: { REDIS_URL: { name: "x" } } }, "key"],
    ["an invalid digest", { image: { digest: "latest" } }, "digest"],
    ["a negative drain", { drainSeconds: -1 }, "drainSeconds"],
    ["replicas as a word", { replicas: "two" }, "replicas"],
    ["a budget that stops every drain", { podDisruptionBudget: { maxUnavailable: 0 } }, "maxUnavailable"],
    ["a port that Latchkey has", { mode: "sidecar", sidecar: { port: 9191 } }, "port"],
    ["a privileged port", { mode: "sidecar", sidecar: { port: 80 } }, "port"],
    ["two policies", { policy: "roles: {}", policyConfigMap: "ours" }, "policyConfigMap"],
    ["one port for both sides", { mode: "sidecar", sidecar: { upstreamPort: 10_000 } }, "upstreamPort"],
    ["fewer at most than at least", { autoscaling: { enabled: true, maxReplicas: 1 } }, "maxReplicas"],
  ])("%s is rejected", async (_, values, named) => {
    const { status, said } = await runHelm(["template", "latchkey"], { ...LEAST, ...values });
    expect(status).not.toBe(0);
    expect(said).toContain(named);
  });
});

describe("a gRPC listener in clear text is open to the whole cluster only if the values say so", () => {
  test.each([
    ["the NetworkPolicy names no Envoy", {}],
    [
      "the Envoys are named, but the policy is not enabled",
      { networkPolicy: { enabled: false, grpcFrom: [{ podSelector: {} }] } },
    ],
    [
      "only the HTTP listener has a certificate",
      { networkPolicy: { enabled: false }, tls: { http: { secretName: "http-tls" } } },
    ],
    [
      "clear text is not allowed either",
      { networkPolicy: { enabled: false }, settings: { ALLOW_CLEARTEXT: "" } },
    ],
  ])("an open listener is rejected if %s, and the message names the values to set", async (_, values) => {
    const { status, said } = await runHelm(["template", "latchkey"], values);
    expect(status).not.toBe(0);
    for (const value of ["networkPolicy.enabled", "tls.grpc.secretName", "allowOpenGrpc"])
      expect(said).toContain(value);
  });

  test.each([
    ["a NetworkPolicy names the Envoys", LEAST],
    [
      "it has a certificate and no NetworkPolicy",
      { networkPolicy: { enabled: false }, tls: { grpc: { secretName: "grpc-tls" } } },
    ],
    ["the operator allows an open listener", { allowOpenGrpc: true }],
    ["it listens on loopback, beside its Envoy", { mode: "sidecar" }],
  ])("the chart renders if %s", async (_, values) => {
    expect((await runHelm(["template", "latchkey"], values)).status).toBe(0);
  });

  test("if a mesh decides who may connect, the NetworkPolicy admits every pod to the gRPC listener, and to no other", async () => {
    const policy = byKind(await renderChart({ allowOpenGrpc: true }), "NetworkPolicy");
    expect(policy["spec"]).toMatchObject({ ingress: [{ ports: [{ port: "grpc", protocol: "TCP" }] }] });
  });

  test("the NetworkPolicy admits only the peers in the values to the gRPC listener", async () => {
    const policy = byKind(await renderChart(LEAST), "NetworkPolicy");
    const from = [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "ingress" } } }];
    expect(policy["spec"]).toMatchObject({
      policyTypes: ["Ingress"],
      ingress: [{ ports: [{ port: "grpc", protocol: "TCP" }], from }],
    });
  });
});
