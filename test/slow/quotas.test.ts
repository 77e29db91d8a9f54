import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { check } from "../support/checks.ts";
import { EXT_AUTHZ, startEnvoy } from "../support/envoy.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { newSocket, startLatchkey } from "../support/latchkey.ts";
import { readMetrics } from "../support/metrics.ts";
import { runHere } from "../support/program.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const ADMIN_TOKEN = newSecret();
const POLICY = `
plans:
  free:
    rate_limits: [{ name: burst, per: key, capacity: 50, refill: 1/h }]
    quotas: [{ name: monthly, per: owner, limit: 5, every: month }]
  team: { quotas: [{ name: monthly, per: owner, limit: 8, every: month }] }
roles:
  basic: { scopes: [a], ttl: 1d, refresh_window: 12h, plan: free }
  plain: { scopes: [a], ttl: 1d, refresh_window: 12h, quotas: [{ name: monthly, per: owner, limit: 60, every: month }] }
routes:
  - { path: /a/**, scopes: [a] }
  - { path: /large, scopes: [a], cost: 9 }
  - { path: /trial/**, scopes: [a], mode: shadow }
guards: { open_calls: 10000/s }
`;

let upstream: Upstream;
let latchkey: TestedLatchkey;
let envoy: EnvoyProcess;
let admin: LatchkeyClient;

function register({ owner = randomUUID(), plan }: { owner?: string; plan?: string } = {}) {
  return admin.register({ name: "n", key_type: "basic", owner, ...(plan !== undefined && { plan }) });
}

/** The whole response to one request through Envoy. */
async function respond(path: string, token: string) {
  const response = await fetch(`http://127.0.0.1:${envoy.port}${path}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const header = (name: string) => response.headers.get(name) ?? "";
  return { status: response.status, header, body: await response.text() };
}

/** The number of requests that are served before one is denied. */
async function admitted(token: string, most = 60): Promise<number> {
  for (let count = 0; count < most; count++)
    if ((await check(envoy, "/a/x", token)).status === 429) return count;
  return most;
}

/** The seconds until the month ends in UTC. */
function secondsLeft(): number {
  const now = new Date();
  return (Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1) - now.getTime()) / 1000;
}

describe.each(["embedded", "redis"])("with the %s store", (store) => {
  let redis: TestedRedis | undefined;
  let grpc: string;
  const settings: Record<string, string> = { ADMIN_TOKEN, JWT_SECRET: newSecret() };

  const start = async (dataDir?: string) => {
    latchkey = await startLatchkey(
      { ...settings, GRPC_LISTEN: grpc, ...(dataDir !== undefined && { DATA_DIR: dataDir }) },
      { policy: POLICY },
    );
    admin = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
  };

  beforeAll(async () => {
    [upstream, grpc] = await Promise.all([startUpstream(), newSocket()]);
    if (store === "redis") {
      redis = await startRedis();
      Object.assign(settings, { REDIS_URL: redis.url, REDIS_COMMAND_TIMEOUT_MS: "2000" });
    }
    await start();
    envoy = await startEnvoy({
      authzTarget: latchkey.grpc,
      upstreamPort: upstream.port,
      // The machine may be busy.
      edit: (bootstrap) => bootstrap.setIn([...EXT_AUTHZ, "grpc_service", "timeout"], "20s"),
    });
  });

  afterAll(async () => {
    await Promise.all([envoy?.stop(), latchkey?.stop()]);
    await Promise.all([upstream?.stop(), redis?.stop()]);
  });

  test("a request beyond the quota gets 429 with the quota, its limit and the end of its window", async () => {
    const { api_key: token } = await register();
    const served = await respond("/a/x", token);
    expect(served.header("ratelimit-policy")).toMatch(/^"burst";q=50;w=180000, "monthly";q=5;w=2\d{6}$/);
    expect(served.header("ratelimit")).toMatch(/^"burst";r=\d+, "monthly";r=4;t=\d+$/);
    expect(await admitted(token)).toBe(4);
    const denied = await respond("/a/x", token);
    expect([denied.status, denied.header("x-latchkey-reason")]).toEqual([429, "quota_exceeded"]);
    const problem = JSON.parse(denied.body);
    expect(problem).toMatchObject({
      type: "/problems/quota-exceeded",
      status: 429,
      quota: "monthly",
      limit: 5,
    });
    const untilReset = (Date.parse(problem.resets_at) - Date.now()) / 1000;
    expect(Math.abs(untilReset - secondsLeft())).toBeLessThan(60);
    expect(Math.abs(Number(denied.header("retry-after")) - secondsLeft())).toBeLessThan(60);
    expect(denied.header("ratelimit")).toMatch(/"monthly";r=0;t=\d+$/);
    const counted = async () => [...(await readMetrics(latchkey.ops)).keys()].join("\n");
    await expect.poll(counted).toContain('reason="quota_exceeded"');
  });

  test("a cost above the quota is denied by the quota", async () => {
    const { api_key: token } = await register();
    expect(await check(envoy, "/large", token)).toMatchObject({ status: 429, reason: "quota_exceeded" });
    expect(await admitted(token)).toBe(5);
  });

  test("keys of one owner share the counter, and another plan keeps what is used", async () => {
    const owner = randomUUID();
    const [free, team] = [await register({ owner }), await register({ owner, plan: "team" })];
    expect(await admitted(free.api_key)).toBe(5);
    expect(await admitted(team.api_key)).toBe(3);
    expect(await admitted(free.api_key)).toBe(0);
  });

  test("a plan without rate_limits has those of the role's plan", async () => {
    const { api_key: key } = await register({ plan: "team" });
    const { steps } = await admin.explain({ method: "GET", path: "/a/x", key });
    expect(steps.find(({ step }) => step === "plan")?.outcome).toBe(
      "burst: 50 per key, monthly: 8 requests per owner and month",
    );
    expect(steps.at(-1)).toEqual({
      step: "limits",
      observed: "burst: 50 of 50, monthly: 8 of 8",
      outcome: "cost 1",
    });
  });

  test("explain takes nothing, and shows an exhausted quota", async () => {
    const { api_key: key } = await register();
    for (let asked = 0; asked < 10; asked++) await admin.explain({ method: "GET", path: "/a/x", key });
    expect(await admitted(key)).toBe(5);
    const { reason, steps } = await admin.explain({ method: "GET", path: "/a/x", key });
    expect([reason, steps.at(-1)?.outcome]).toEqual(["quota_exceeded", "quota_exceeded"]);
  });

  test("shadow mode has its own counters", async () => {
    const { api_key: token } = await register();
    for (let sent = 0; sent < 8; sent++) expect((await check(envoy, "/trial/x", token)).status).toBe(200);
    expect(await admitted(token)).toBe(5);
  });

  test("an operator sees the use of a quota and resets it", async () => {
    const { api_key: token, key_id: keyId } = await register();
    expect(await admitted(token)).toBe(5);
    const [quota] = (await admin.limits.show(keyId)).quotas;
    expect(quota).toMatchObject({ name: "monthly", per: "owner", unit: "requests", limit: 5 });
    expect((quota?.used ?? 0) + (quota?.leased ?? 0)).toBe(5);
    const options = { LATCHKEY_URL: `http://${latchkey.operator}`, LATCHKEY_TOKEN: ADMIN_TOKEN };
    const shown = await runHere(["limits", "show", keyId], options);
    expect(shown.stdout).toMatch(/QUOTA +PER +USED +LEASED +RESETS AT\nmonthly +owner +[45] of 5/);
    await runHere(["limits", "reset", keyId], options);
    await expect.poll(() => admitted(token)).toBe(5);
  });

  test("80% and 100% of a quota leave one line each in the audit log", async () => {
    const owner = randomUUID();
    const { api_key: token } = await register({ owner });
    await admitted(token);
    const lines = async () => {
      const text = await readFile(join(latchkey.cwd, "logs", "api.log"), "utf8").catch(() => "");
      return text
        .split("\n")
        .filter((line) => line.includes("quota_threshold") && line.includes(owner))
        .map((line): unknown => JSON.parse(line.slice(line.indexOf("{"))));
    };
    await expect.poll(async () => (await lines()).length).toBe(2);
    expect(await lines()).toMatchObject([
      { kind: "quota", quota: "monthly", percent: 80, limit: 5, owner },
      { kind: "quota", quota: "monthly", percent: 100, limit: 5, owner },
    ]);
  });

  if (store === "redis")
    test("while Redis does not respond, requests are served and counted, and their sum is posted when it does", async () => {
      const key = await admin.register({ name: "n", key_type: "plain", owner: randomUUID() });
      const send = async () => (await check(envoy, "/a/x", key.api_key)).status;
      expect([await send(), await send()]).toEqual([200, 200]);
      const { pid } = redis ?? expect.unreachable("no Redis");
      const units = async (result: string) =>
        (await readMetrics(latchkey.ops)).get(`latchkey_quota_units_total{result="${result}"}`);
      process.kill(pid, "SIGSTOP");
      try {
        expect([await send(), await send(), await send()]).toEqual([200, 200, 200]);
        await expect.poll(() => units("counted")).toBe(3);
      } finally {
        process.kill(pid, "SIGCONT");
      }
      await expect.poll(() => units("posted")).toBe(3);
      const [quota] = (await admin.limits.show(key.key_id)).quotas;
      expect(quota?.used).toBeGreaterThanOrEqual(5);
      // Redis may carry out the requests for leases that got no response in time.
      expect(quota?.used).toBeLessThanOrEqual(8);
    });

  test("a restart does not refill a quota", async () => {
    const { api_key: token } = await register();
    for (let sent = 0; sent < 3; sent++) await check(envoy, "/a/x", token);
    await latchkey.stop();
    await start(latchkey.dataDir);
    await expect.poll(async () => (await check(envoy, "/a/x", token)).status).toBe(200);
    expect(await admitted(token)).toBe(1);
  });
});
