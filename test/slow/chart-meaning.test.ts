import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { helm } from "../../scripts/checkers.ts";
import { envoyBinary } from "../../scripts/envoy-binary.ts";
import { parsePolicy } from "../../src/policy/file.ts";
import { removeAtEnd } from "../support/at-end.ts";
import type { Resource, Values } from "../support/chart.ts";
import { byKind, CHART, podOf, renderChart, runHelm, serviceOf } from "../support/chart.ts";
import { LEAST, SHAPES } from "../support/chart-shapes.ts";

const text = (config: Resource, key: string) =>
  z.object({ data: z.record(z.string(), z.string()) }).parse(config).data[key] ?? "";

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "latchkey-chart-"));
  removeAtEnd(made);
  return made;
}

test("the Service has a headless name for gRPC and metrics, and one address for the key API and meshes", async () => {
  const resources = await renderChart(LEAST);
  const headless = serviceOf(byKind(resources, "Service", "latchkey-headless"));
  const one = serviceOf(byKind(resources, "Service", "latchkey"));
  expect(headless.clusterIP).toBe("None");
  expect(one.clusterIP).toBeUndefined();
  expect([headless, one].map(({ ports }) => ports.map(({ name, port }) => `${name} ${port}`))).toEqual([
    ["grpc 9191", "ops 9464"],
    ["http 8000", "grpc 9191"],
  ]);
});

test("a pod has time to drain and to finish open requests, with a margin", async () => {
  for (const drainSeconds of [0, 15, 60]) {
    const pod = podOf(await renderChart({ ...LEAST, drainSeconds }));
    const [latchkey] = pod.containers;
    expect(latchkey?.env).toContainEqual({ name: "DRAIN_SECONDS", value: String(drainSeconds) });
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(drainSeconds + 5);
  }
});

test("sidecars start before what they serve and stop after it: Latchkey outlives Envoy, and Envoy outlives the app", async () => {
  const { initContainers, containers } = podOf(await renderChart(SHAPES["as sidecars, with the demo"] ?? {}));
  expect(initContainers.map(({ name, restartPolicy }) => `${name} ${restartPolicy}`)).toEqual([
    "latchkey Always",
    "envoy Always",
  ]);
  expect(containers.map(({ name }) => name)).toEqual(["app"]);
  const env = initContainers[0]?.env ?? [];
  expect(
    env.filter(({ name }) => /^(?:GRPC|HTTP|OPERATOR)_LISTEN$/.test(name)).map(({ value }) => value),
  ).toEqual(["127.0.0.1:9191", "127.0.0.1:8000", "127.0.0.1:8001"]);
});

test("the forward-auth listener of a pod of many proxies is at port 9192, and that of a sidecar on its loopback", async () => {
  const listens = async (values: Values) => {
    const { all } = podOf(await renderChart(values));
    return all.find(({ name }) => name === "latchkey")?.env.find(({ name }) => name === "AUTH_LISTEN")?.value;
  };
  expect(await listens(SHAPES["for other proxies, in a mesh"] ?? {})).toBe("0.0.0.0:9192");
  expect(await listens(SHAPES["as sidecars, with the demo"] ?? {})).toBe("127.0.0.1:9192");
});

test("a sidecar's Envoy has the example's configuration with the pod's ports, and a real Envoy accepts it", async () => {
  const resources = await renderChart({ mode: "sidecar", sidecar: { port: 15_000, upstreamPort: 3000 } });
  const config = text(byKind(resources, "ConfigMap", "latchkey-envoy"), "envoy.yaml");
  const example = readFileSync(new URL("../../envoy/sidecar.yaml", import.meta.url), "utf8");
  const expected = example
    .replace("127.0.0.1, port_value: 10000", "0.0.0.0, port_value: 15000")
    .replace("port_value: 8080", "port_value: 3000");
  expect(parse(config)).toEqual(parse(expected));
  const args = ["--mode", "validate", "--config-yaml", JSON.stringify(parse(config))];
  const { status, stdout } = spawnSync(await envoyBinary(), args, { encoding: "utf8" });
  expect([status, stdout]).toEqual([0, expect.stringContaining("OK")]);
});

test("the policy arrives unchanged, and Latchkey loads it", async () => {
  const given = readFileSync(new URL("../../latchkey.yaml", import.meta.url), "utf8");
  const resources = await renderChart({ ...LEAST, policy: given });
  const arrived = text(byKind(resources, "ConfigMap", "latchkey-policy"), "latchkey.yaml");
  expect(arrived.trim()).toBe(given.trim());
  const parsed = parsePolicy({ text: arrived, fileName: "latchkey.yaml", ttlSeconds: new Map() });
  expect(parsed.ok).toBe(true);
});

test("rules and dashboard equal those of this repository, and the metrics have the job name that they query", async () => {
  const read = (path: string) => readFileSync(new URL(`../../deploy/${path}`, import.meta.url), "utf8");
  for (const mode of ["service", "sidecar"]) {
    const monitoring = { monitors: true, rules: true, dashboard: true };
    const resources = await renderChart({ ...LEAST, mode, monitoring });
    const groups = ["recording", "alerts"].flatMap((name) => parse(read(`prometheus/${name}.yaml`)).groups);
    expect(byKind(resources, "PrometheusRule")["spec"]).toEqual({ groups });
    const dashboard = byKind(resources, "ConfigMap", "latchkey-dashboard");
    expect(JSON.parse(text(dashboard, "latchkey.json"))).toEqual(JSON.parse(read("grafana/latchkey.json")));
    const monitor = byKind(resources, mode === "service" ? "ServiceMonitor" : "PodMonitor");
    expect(JSON.stringify(monitor)).toContain('{"targetLabel":"job","replacement":"latchkey"}');
    expect(read("prometheus/alerts.yaml")).toContain('{job="latchkey"}');
  }
});

test("another chart includes the sidecars in a pod of its own", async () => {
  const parent = folder();
  mkdirSync(join(parent, "templates"));
  cpSync(CHART, join(parent, "charts/latchkey"), { recursive: true });
  const dependencies = [{ name: "latchkey", version: "0.1.0" }];
  writeFileSync(
    join(parent, "Chart.yaml"),
    JSON.stringify({ apiVersion: "v2", name: "app", version: "1.0.0", dependencies }),
  );
  const pod = `apiVersion: v1
kind: Pod
metadata:
  name: app
  labels: {{- include "latchkey.sidecar.labels" .Subcharts.latchkey | nindent 4 }}
spec:
  initContainers: {{- include "latchkey.sidecar.containers" .Subcharts.latchkey | nindent 4 }}
  containers: [{ name: app, image: app }]
  volumes: {{- include "latchkey.sidecar.volumes" .Subcharts.latchkey | nindent 4 }}
`;
  writeFileSync(join(parent, "templates/pod.yaml"), pod);
  const resources = await renderChart({ latchkey: { mode: "sidecar", policy: "roles: {}" } }, parent);
  const { spec } = z.looseObject({ spec: z.unknown() }).parse(byKind(resources, "Pod"));
  const own = podOf(
    await renderChart({ mode: "sidecar", policy: "roles: {}", sidecar: { demo: { enabled: true } } }),
  );
  expect(JSON.parse(JSON.stringify(spec))).toMatchObject({
    initContainers: own.initContainers.map(({ name, image }) => ({ name, image })),
    volumes: own.volumes,
  });
  expect(byKind(resources, "ConfigMap", "latchkey-envoy")).toBeDefined();
});

test("the packaged chart renders the same", async () => {
  const target = folder();
  const { status, stderr } = spawnSync(await helm(), ["package", CHART, "--destination", target], {
    encoding: "utf8",
  });
  expect([status, stderr]).toEqual([0, ""]);
  const values = { mode: "sidecar", monitoring: { monitors: true } };
  expect(await renderChart(values, join(target, "latchkey-0.1.0.tgz"))).toEqual(await renderChart(values));
});

test("the notes after an installation name the listeners and the required content of the Secret", async () => {
  const { status, said } = await runHelm(["install", "latchkey", "--dry-run=client"], LEAST);
  expect(status).toBe(0);
  const notes = said.slice(said.indexOf("NOTES:"));
  expect(notes).toContain("latchkey-headless.default.svc:9191");
  expect(notes).toContain(
    "the Secret latchkey has: JWT_SECRET, KEY_HASH_SECRET, AUDIT_KEY, ADMIN_TOKEN, REDIS_URL",
  );
});
