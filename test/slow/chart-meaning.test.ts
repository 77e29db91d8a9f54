import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { helm } from "../../scripts/checkers.ts";
import { envoyBinary } from "../../scripts/envoy-binary.ts";
import { readConfig } from "../../src/config.ts";
import { parsePolicy } from "../../src/policy/file.ts";
import { SETTINGS } from "../../src/settings.ts";
import { removeAtEnd } from "../support/at-end.ts";
import type { TestedCa } from "../support/certificates.ts";
import { createCa } from "../support/certificates.ts";
import type { Resource } from "../support/chart.ts";
import { byKind, CHART, podOf, renderChart, runHelm } from "../support/chart.ts";
import { SHAPES } from "../support/chart-shapes.ts";
import { imageEnvironment } from "../support/dockerfile.ts";
import { newSecret } from "../support/keys.ts";

const PODS = Object.entries(SHAPES).filter(([name]) => name !== "as sidecars");
const service = z.object({
  spec: z.object({
    clusterIP: z.string().optional(),
    selector: z.record(z.string(), z.string()),
    ports: z.array(z.object({ name: z.string(), port: z.number(), targetPort: z.string() })),
  }),
});
const text = (config: Resource, key: string) =>
  z.object({ data: z.record(z.string(), z.string()) }).parse(config).data[key] ?? "";

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "latchkey-chart-"));
  removeAtEnd(made);
  return made;
}

let ca: TestedCa;
beforeAll(async () => {
  ca = await createCa();
});

/** A file of a certificate, in place of one that is mounted in a pod. */
function realCertificate(path: string, mounted: readonly string[]): string {
  const [, folder = "", file = ""] = /^(\/run\/tls\/\w+)\/([\w.]+)$/.exec(path) ?? [];
  if (folder === "") return path;
  expect(mounted).toContain(folder);
  return { "tls.crt": ca.certFile, "tls.key": ca.keyFile, "ca.crt": ca.certFile }[file] ?? path;
}

describe.each(PODS)("a pod of the chart %s", (_, values) => {
  test("starts Latchkey in production, with every secret from a file that is mounted", async () => {
    const { all, volumes } = podOf(await renderChart(values));
    const latchkey = all.find(({ name }) => name === "latchkey");
    const mounted = latchkey?.volumeMounts.map(({ mountPath }) => mountPath) ?? [];
    const env = Object.fromEntries(
      latchkey?.env.map(({ name, value }) => [name, realCertificate(value, mounted)]) ?? [],
    );
    const isSetting = (name: string) => Object.hasOwn(SETTINGS, name);
    const isKnown = (name: string) => isSetting(name) || isSetting(name.replace(/_FILE$/, ""));
    expect(Object.keys(env).filter((name) => !isKnown(name))).toEqual([]);
    const secrets = JSON.stringify(volumes.find(({ name }) => name === "latchkey-secrets"));
    const config = readConfig({ ...imageEnvironment(), ...env }, (path) => {
      expect(path).toMatch(/^\/run\/secrets\/latchkey\//);
      expect(secrets).toContain(`"path":"${path.split("/").at(-1)}"`);
      return path.endsWith("REDIS_URL") ? "rediss://latchkey:a-password@redis:6379" : newSecret();
    });
    expect(config).toMatchObject({ ok: true, settings: { ENVIRONMENT: "production", STORE: "redis" } });
  });

  test("has what Pod Security calls restricted, and a root that nobody writes to", async () => {
    const pod = podOf(await renderChart(values));
    expect(pod.automountServiceAccountToken).toBe(false);
    expect(pod.securityContext).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: "RuntimeDefault" },
    });
    for (const { securityContext } of pod.all)
      expect(securityContext).toMatchObject({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        runAsNonRoot: true,
        capabilities: { drop: ["ALL"] },
      });
  });

  test("is not confused by other Services: REDIS_PORT of a Service called redis is no setting", async () => {
    expect(podOf(await renderChart(values)).enableServiceLinks).toBe(false);
  });

  test("mounts only volumes that it has, and its Services find it and its ports", async () => {
    const resources = await renderChart(values);
    const pod = podOf(resources);
    const volumes = pod.volumes.map(({ name }) => name);
    const mounted = pod.all.flatMap(({ volumeMounts }) => volumeMounts.map(({ name }) => name));
    expect(new Set(mounted)).toEqual(new Set(volumes));
    const ports = pod.all.flatMap((container) => container.ports.map(({ name }) => name));
    for (const one of resources.filter(({ kind }) => kind === "Service")) {
      const { spec } = service.parse(one);
      expect(pod.labels).toMatchObject(spec.selector);
      expect(ports).toEqual(expect.arrayContaining(spec.ports.map(({ targetPort }) => targetPort)));
    }
  });
});

test("the service has a headless name for gRPC and metrics, and one address for the key API and meshes", async () => {
  const resources = await renderChart({});
  const headless = service.parse(byKind(resources, "Service", "latchkey-headless")).spec;
  const one = service.parse(byKind(resources, "Service", "latchkey")).spec;
  expect(headless.clusterIP).toBe("None");
  expect(one.clusterIP).toBeUndefined();
  expect([headless, one].map(({ ports }) => ports.map(({ name, port }) => `${name} ${port}`))).toEqual([
    ["grpc 9191", "ops 9464"],
    ["http 8000", "grpc 9191"],
  ]);
});

test("a pod has time to drain, to finish what is open, and some more", async () => {
  for (const drainSeconds of [0, 15, 60]) {
    const pod = podOf(await renderChart({ drainSeconds }));
    const [latchkey] = pod.containers;
    expect(latchkey?.env).toContainEqual({ name: "DRAIN_SECONDS", value: String(drainSeconds) });
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(drainSeconds + 5);
  }
});

test("sidecars start before what they serve, and so end after it: Latchkey outlives Envoy, Envoy the app", async () => {
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

test("a sidecar's Envoy has the example's configuration with the pod's ports, and a real Envoy takes it", async () => {
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

test("the policy arrives as it was given, and Latchkey takes it", async () => {
  const given = readFileSync(new URL("../../latchkey.yaml", import.meta.url), "utf8");
  const resources = await renderChart({ policy: given });
  const arrived = text(byKind(resources, "ConfigMap", "latchkey-policy"), "latchkey.yaml");
  expect(arrived.trim()).toBe(given.trim());
  const parsed = parsePolicy({ text: arrived, fileName: "latchkey.yaml", ttlSeconds: new Map() });
  expect(parsed.ok).toBe(true);
});

test("another chart takes the sidecars into a pod of its own", async () => {
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

test("packaged, it renders the same", async () => {
  const target = folder();
  const { status, stderr } = spawnSync(await helm(), ["package", CHART, "--destination", target], {
    encoding: "utf8",
  });
  expect([status, stderr]).toEqual([0, ""]);
  const values = { mode: "sidecar", monitoring: { monitors: true } };
  expect(await renderChart(values, join(target, "latchkey-0.1.0.tgz"))).toEqual(await renderChart(values));
});

test("after an installation it says where the doors are, and what the Secret must have", async () => {
  const { status, said } = await runHelm(["install", "latchkey", "--dry-run=client"], {});
  expect(status).toBe(0);
  const notes = said.slice(said.indexOf("NOTES:"));
  expect(notes).toContain("latchkey-headless.default.svc:9191");
  expect(notes).toContain(
    "the Secret latchkey has: JWT_SECRET, KEY_HASH_SECRET, AUDIT_KEY, ADMIN_TOKEN, REDIS_URL",
  );
});
