import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { PLATFORMS, writeNote } from "../../scripts/platforms.ts";
import { readCompose } from "../support/compose.ts";
import { imagesHere, versionsHere } from "../support/compose-images.ts";
import { composeFolder, sendInside } from "../support/compose-project.ts";
import type { ComposeProject } from "../support/compose-runner.ts";
import { startCompose } from "../support/compose-runner.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** For services that have no health check. */
const WAIT = { timeout: 60_000, interval: 500 };

describe(PLATFORMS["compose.test.ts"], () => {
  let folder: string;
  let project: ComposeProject;
  const file = readCompose();

  beforeAll(async () => {
    folder = await composeFolder();
    project = await startCompose({
      file,
      folder: join(folder, "deploy/compose"),
      images: await imagesHere(),
    });
    await vi
      .waitFor(() => send("http://127.0.0.1:10000/"), WAIT)
      .catch((error: unknown) => {
        throw new Error(project.services.get("envoy")?.output(), { cause: error });
      });
    writeNote("compose.test.ts", { versions: await versionsHere() });
  });

  afterAll(async () => {
    await project?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const send = (url: string, init?: RequestInit) => sendInside(project, url, init);

  async function register(): Promise<string> {
    const body = JSON.stringify({ name: "compose", key_type: "basic" });
    const headers = { "content-type": "application/json" };
    const issued = await send("http://127.0.0.1:8000/api/auth/v2/register", {
      method: "POST",
      headers,
      body,
    });
    return z.object({ api_key: z.string() }).parse(JSON.parse(issued.body)).api_key;
  }

  test("every service that can be had here runs, from the compose file alone", () => {
    const missing = Object.keys(file.services).filter((name) => !project.services.has(name));
    expect(missing).toEqual(["grafana"]);
  });

  test("Envoy denies a request without a key, and sends one with a key to the upstream", async () => {
    const denied = await send("http://127.0.0.1:10000/v1/chat/x");
    expect(denied.status).toBe(401);
    const allowed = await send("http://127.0.0.1:10000/v1/chat/x", {
      headers: { "x-api-key": await register() },
    });
    expect([allowed.status, JSON.parse(allowed.body)]).toEqual([
      200,
      expect.objectContaining({ "x-latchkey-role": "basic" }),
    ]);
  });

  test("the operator's token of the secrets works, on the loopback of the service only", async () => {
    const token = readFileSync(join(folder, "deploy/compose/secrets/admin_token"), "utf8").trim();
    const headers = { authorization: `Bearer ${token}` };
    const listed = await send("http://127.0.0.1:8001/api/admin/keys", { headers });
    expect(listed.status).toBe(200);
    expect((await send("http://127.0.0.1:8000/api/admin/keys", { headers })).status).toBe(404);
  });

  test("Redis admits only the shipped user, by its password", async () => {
    const redis = project.services.get("redis");
    const denied = await redis?.exec(["redis-cli", "ping"]);
    expect(denied?.output).toContain("NOAUTH");
  });

  test("Prometheus scrapes Latchkey, and has loaded every rule", async () => {
    const scraped = async () => {
      const { body } = await send("http://127.0.0.1:9090/api/v1/targets");
      expect(JSON.parse(body).data.activeTargets).toMatchObject([
        { scrapeUrl: "http://latchkey:9464/metrics", health: "up" },
      ]);
    };
    await vi.waitFor(scraped, WAIT);
    const rules = JSON.parse((await send("http://127.0.0.1:9090/api/v1/rules")).body);
    const groups: { rules: { health: string }[] }[] = rules.data.groups;
    expect(groups.length).toBeGreaterThan(1);
    const states = new Set(groups.flatMap((group) => group.rules.map(({ health }) => health)));
    expect([...states].filter((state) => state === "err")).toEqual([]);
  });
});

describe("Grafana's provisioning, which is read without Grafana", () => {
  const provisioning = (path: string): unknown =>
    parse(readFileSync(join(ROOT, "deploy/grafana/provisioning", path), "utf8"));
  const datasources = z.strictObject({
    apiVersion: z.literal(1),
    datasources: z.array(
      z.strictObject({
        name: z.string(),
        uid: z.string(),
        type: z.literal("prometheus"),
        access: z.enum(["proxy", "direct"]),
        url: z.url(),
        isDefault: z.boolean(),
      }),
    ),
  });
  const dashboards = z.strictObject({
    apiVersion: z.literal(1),
    providers: z.array(
      z.strictObject({
        name: z.string(),
        type: z.literal("file"),
        allowUiUpdates: z.boolean(),
        options: z.strictObject({ path: z.string() }),
      }),
    ),
  });

  test("its files have only known members, and name the services and mounts of the compose file", () => {
    const { services } = readCompose();
    const [source] = datasources.parse(provisioning("datasources/prometheus.yaml")).datasources;
    expect(new URL(source?.url ?? "").hostname in services).toBe(true);
    const [provider] = dashboards.parse(provisioning("dashboards/latchkey.yaml")).providers;
    const targets = services["grafana"]?.volumes.map((volume) => volume.split(":")[1]);
    expect(targets).toContain(provider?.options.path);
  });
});
