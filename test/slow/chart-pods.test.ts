import { beforeAll, describe, expect, test } from "vitest";
import { readConfig } from "../../src/config/load.ts";
import { SETTINGS } from "../../src/config/settings.ts";
import type { TestedCa } from "../support/certificates.ts";
import { createCa } from "../support/certificates.ts";
import { podOf, renderChart, serviceOf } from "../support/chart.ts";
import { SHAPES } from "../support/chart-shapes.ts";
import { imageEnvironment } from "../support/dockerfile.ts";
import { newSecret } from "../support/keys.ts";

const PODS = Object.entries(SHAPES).filter(([name]) => name !== "as sidecars");

let ca: TestedCa;
beforeAll(async () => {
  ca = await createCa();
});

/** Replaces a mounted certificate by a file. */
function realCertificate(path: string, mounted: readonly string[]): string {
  const [, folder = "", file = ""] = /^(\/run\/tls\/\w+)\/([\w.]+)$/.exec(path) ?? [];
  if (folder === "") return path;
  expect(mounted).toContain(folder);
  return { "tls.crt": ca.certFile, "tls.key": ca.keyFile, "ca.crt": ca.certFile }[file] ?? path;
}

describe.each(PODS)("a pod of the chart %s", (_, values) => {
  test("the pod starts Latchkey in production, with every secret from a mounted file", async () => {
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

  test("the pod satisfies Pod Security's restricted level, and its root is read-only", async () => {
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

  test("variables of other Services are no settings: REDIS_PORT of a Service called redis is ignored", async () => {
    expect(podOf(await renderChart(values)).enableServiceLinks).toBe(false);
  });

  test("the pod mounts only volumes that it has, and its Services select it and its ports", async () => {
    const resources = await renderChart(values);
    const pod = podOf(resources);
    const volumes = pod.volumes.map(({ name }) => name);
    const mounted = pod.all.flatMap(({ volumeMounts }) => volumeMounts.map(({ name }) => name));
    expect(new Set(mounted)).toEqual(new Set(volumes));
    const ports = pod.all.flatMap((container) => container.ports.map(({ name }) => name));
    for (const one of resources.filter(({ kind }) => kind === "Service")) {
      const spec = serviceOf(one);
      expect(pod.labels).toMatchObject(spec.selector);
      expect(ports).toEqual(expect.arrayContaining(spec.ports.map(({ targetPort }) => targetPort)));
    }
  });
});
