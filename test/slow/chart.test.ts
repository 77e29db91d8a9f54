import { describe, expect, test } from "vitest";
import { byKind, renderChart, runHelm, serviceOf } from "../support/chart.ts";
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
    ["a port of the forward-auth listener", { mode: "sidecar", sidecar: { port: 9192 } }, "port"],
    ["a certificate without its listener", { tls: { auth: { secretName: "x" } } }, "forwardAuth.enabled"],
    ["an address of forward-auth", { settings: { AUTH_LISTEN: "0.0.0.0:1" } }, "AUTH_LISTEN"],
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

describe("a forward-auth listener is open only to the proxies that the values name", () => {
  const forwardAuth = { enabled: true };
  const open = { allowOpenGrpc: true };
  const cleartext = { settings: { ALLOW_CLEARTEXT: "grpc,http,auth" } };

  test.each([
    ["it names no proxy", { ...open, ...cleartext }, "networkPolicy.authFrom"],
    [
      "there is no NetworkPolicy",
      { ...open, ...cleartext, networkPolicy: { enabled: false, authFrom: [{ podSelector: {} }] } },
      "tls.auth.secretName",
    ],
    [
      "Latchkey would not start in clear text",
      { ...open, forwardAuth: { ...forwardAuth, allowOpen: true } },
      "ALLOW_CLEARTEXT",
    ],
  ])("values are rejected if %s", async (_, values, named) => {
    const { status, said } = await runHelm(["template", "latchkey"], { forwardAuth, ...values });
    expect(status).not.toBe(0);
    expect(said).toContain(named);
  });

  test("the NetworkPolicy admits the proxies to it, and its Service has its port", async () => {
    const values = SHAPES["with all that it can have"] ?? {};
    const resources = await renderChart(values);
    const from = [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "nginx" } } }];
    expect(byKind(resources, "NetworkPolicy")["spec"]).toMatchObject({
      ingress: expect.arrayContaining([{ ports: [{ port: "auth", protocol: "TCP" }], from }]),
    });
    const ports = serviceOf(byKind(resources, "Service", "latchkey")).ports.map(
      ({ name, port }) => `${name} ${port}`,
    );
    expect(ports).toContain("auth 9192");
  });

  test("by default there is none: no port, no address, no rule", async () => {
    const resources = await renderChart({
      ...LEAST,
      networkPolicy: { grpcFrom: [{}], authFrom: [{ podSelector: {} }] },
    });
    expect(JSON.stringify(resources)).not.toMatch(/AUTH_LISTEN|9192|"port":"auth"/);
  });
});
