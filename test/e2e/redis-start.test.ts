import { Client, credentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HEALTH_SERVICE } from "../../scripts/protobuf.ts";
import { createClient } from "../../src/client/client.ts";
import { check } from "../support/checks.ts";
import { EXT_AUTHZ, startEnvoy } from "../support/envoy.ts";
import { startFaultRelay } from "../support/fault-relay.ts";
import { newSecret } from "../support/keys.ts";
import type { StartingLatchkey } from "../support/latchkey.ts";
import { freeAddress, launchLatchkey } from "../support/latchkey.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis, urlBy } from "../support/redis.ts";
import { latchkeyUser } from "../support/redis-user.ts";
import { startUpstream } from "../support/upstream.ts";

const ADMIN_TOKEN = newSecret();
const env = { JWT_SECRET: newSecret(), ADMIN_TOKEN };
/** This policy serves through any outage, so that every denial comes from unknown revocations. */
const POLICY = `
roles:
  basic: { scopes: [a], ttl: 1d, refresh_window: 1h, rate_limits: [{ name: n, per: key, capacity: 1000, refill: 10/s }] }
routes: [{ path: /a/**, scopes: [a] }, { path: /open/**, public: true }]
faults: { limits: allow, revocations: { max_staleness: 1s, then: serve } }
`;
const WAITING = { instance: "waiting", revocations: "not_ready", secrets: "not_ready", clock: "not_ready" };
const NOT_SERVING = 2;

let redis: TestedRedis;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis?.stop());

async function waits(latchkey: StartingLatchkey): Promise<void> {
  await expect.poll(latchkey.readyz, { interval: 20 }).toEqual({ status: 503, parts: WAITING });
}

async function becomesReady(latchkey: StartingLatchkey): Promise<void> {
  // The limit is the guarantee.
  await expect.poll(latchkey.readyz, { timeout: 5000, interval: 20 }).toMatchObject({ status: 200 });
}

async function healthOf(target: string): Promise<number> {
  const client = new Client(target, credentials.createInsecure());
  const { path, requestSerialize, responseDeserialize } = HEALTH_SERVICE.Check;
  const status = await new Promise<number>((resolve, reject) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { service: "" }, (error, answer) =>
      error === null && answer !== undefined ? resolve(answer.status) : reject(error),
    );
  });
  client.close();
  return status;
}

test("a starting instance reports its state, and opens no other listener before it is ready", async () => {
  const relay = await startFaultRelay(redis.port);
  relay.set({ kind: "delay", ms: 60 });
  const latchkey = await launchLatchkey({
    ...env,
    REDIS_COMMAND_TIMEOUT_MS: "2000",
    REDIS_URL: urlBy(relay.port),
  });
  const starting = { ...WAITING, instance: "starting" };
  await expect.poll(latchkey.readyz, { interval: 5 }).toEqual({ status: 503, parts: starting });
  await expect(fetch(`http://${latchkey.http}/api/auth/v2/validate`)).rejects.toThrow();
  relay.set({ kind: "pass" });
  await expect.poll(latchkey.readyz).toMatchObject({ status: 200 });
  expect(await latchkey.stop()).toBe(0);
  await relay.close();
});

describe("an instance that starts while Redis is unavailable", () => {
  test("it runs, reports each unready component, denies every key under any policy, and is ready within 5 s after Redis returns", async () => {
    const address = await freeAddress();
    const port = Number(address.split(":")[1]);
    // Earlier keys, registered by an instance on another Redis with the same secret.
    const before = await launchLatchkey({ ...env, REDIS_URL: redis.url }, { policy: POLICY });
    await expect.poll(before.readyz).toMatchObject({ status: 200 });
    const operator = createClient({ url: `http://${before.http}`, token: ADMIN_TOKEN });
    const key = (await operator.register({ name: "n", key_type: "basic" })).api_key;
    const legacy = (await operator.registerLegacy({ name: "n", key_type: "basic" })).api_key;
    expect(await before.stop()).toBe(0);

    const latchkey = await launchLatchkey({ ...env, REDIS_URL: urlBy(port) }, { policy: POLICY });
    await waits(latchkey);
    const upstream = await startUpstream();
    const envoy = await startEnvoy({
      authzTarget: latchkey.grpc,
      upstreamPort: upstream.port,
      // A busy machine is not a fault.
      edit: (bootstrap) => bootstrap.setIn([...EXT_AUTHZ, "grpc_service", "timeout"], "20s"),
    });
    expect((await fetch(`http://${latchkey.ops}/livez`)).status).toBe(200);
    expect(await healthOf(latchkey.grpc)).toBe(NOT_SERVING);
    for (const presented of [key, legacy, "not.a.key"])
      expect(await check(envoy, "/a/x", presented)).toMatchObject({
        status: 503,
        reason: "credential_unavailable",
      });
    expect(await check(envoy, "/a/x")).toMatchObject({ status: 401, reason: "credential_missing" });
    expect((await check(envoy, "/open/x", key)).status).toBe(200);
    for (const path of ["/api/auth/v2/validate", "/api/admin/keys", "/openapi.json", "/nowhere"]) {
      const answer = await fetch(`http://${latchkey.http}${path}`, {
        headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
      });
      expect([answer.status, await answer.json()]).toMatchObject([
        503,
        { type: "/problems/store-unavailable" },
      ]);
      expect(answer.headers.get("retry-after")).toBe("1");
    }

    const back = await startRedis({ port });
    await becomesReady(latchkey);
    expect((await check(envoy, "/a/x", key)).status).toBe(200);
    const client = createClient({ url: `http://${latchkey.http}`, token: ADMIN_TOKEN });
    expect(await client.register({ name: "n", key_type: "basic" })).toHaveProperty("key_id");
    await expect.poll(latchkey.output).toContain("Redis does not respond yet");
    await envoy.stop();
    expect(await latchkey.stop()).toBe(0);
    await Promise.all([back.stop(), upstream.stop()]);
  });
});

describe("a Redis that rejects the instance stops the start with one sentence that names the setting", () => {
  test("a wrong password, a forbidden command and a missing database each exit with code 1 and one line, and write nothing", async () => {
    const PASSWORD = newSecret();
    const [, ...rules] = latchkeyUser(PASSWORD);
    const own = await startRedis();
    await own.cli("ACL", "SETUSER", "full", ...rules);
    await own.cli("ACL", "SETUSER", "closed", ...rules, "-xautoclaim");
    const at = (user: string, end = "") => ({ REDIS_URL: `redis://${user}@127.0.0.1:${own.port}${end}` });
    const rejected = {
      "REDIS_PASSWORD, REDIS_USERNAME or REDIS_URL": at("full:wrong"),
      "REDIS_USERNAME or REDIS_URL": at(`closed:${PASSWORD}`, "/1"),
      "REDIS_DB, or the database in REDIS_URL": at(`full:${PASSWORD}`, "/99"),
    };
    await Promise.all(
      Object.entries(rejected).map(async ([setting, settings]) => {
        const latchkey = await launchLatchkey({ ...env, ...settings });
        expect(await latchkey.exited).toBe(1);
        const lines = latchkey.output().split("\n");
        const fatal = lines.filter((line) => line.includes('"fatal"'));
        expect(fatal).toHaveLength(1);
        expect(fatal[0]).toContain(
          `cannot start, because Redis rejects a setting: the process exits with code 1; check ${setting}`,
        );
        expect(latchkey.output()).not.toMatch(/stack|unhandled/);
        expect(latchkey.output()).not.toContain(PASSWORD);
      }),
    );
    expect(await own.cli("INFO", "keyspace")).not.toContain("db0");
    await own.stop();
  });
});
