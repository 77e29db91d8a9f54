import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import { createClient } from "../../src/client/client.ts";
import { EXT_AUTHZ, startEnvoy } from "../support/envoy.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";
import type { Upstream } from "../support/upstream.ts";
import { startUpstream } from "../support/upstream.ts";

const PASSWORD = newSecret();
/** The built-in policy. A bucket of one key that is empty stays empty, however long a test takes. */
const policy = readFileSync(new URL("../../latchkey.yaml", import.meta.url), "utf8").replace(
  "capacity: 60, refill: 1/s",
  "capacity: 60, refill: 1/h",
);
let redis: TestedRedis;
let upstream: Upstream;
let instances: TestedLatchkey[];
let envoys: EnvoyProcess[];
let env: Record<string, string>;

beforeAll(async () => {
  [redis, upstream] = await Promise.all([startRedis({ password: PASSWORD }), startUpstream()]);
  env = {
    JWT_SECRET: newSecret(),
    ADMIN_TOKEN: newSecret(),
    REDIS_URL: redis.url,
    REDIS_COMMAND_TIMEOUT_MS: "2000",
  };
  instances = await Promise.all([startLatchkey(env, { policy }), startLatchkey(env, { policy })]);
  envoys = await Promise.all(
    instances.map(({ grpc }) =>
      startEnvoy({ authzTarget: grpc, upstreamPort: upstream.port, edit: patient }),
    ),
  );
});

afterAll(async () => {
  await Promise.all([...(envoys ?? []), ...(instances ?? [])].map((process) => process.stop()));
  await Promise.all([redis?.stop(), upstream?.stop()]);
});

/** Generous timeouts for hundreds of concurrent requests on a busy machine. */
function patient(bootstrap: Parameters<NonNullable<Parameters<typeof startEnvoy>[0]["edit"]>>[0]): void {
  bootstrap.setIn([...EXT_AUTHZ, "grpc_service", "timeout"], "20s");
}

function operatorOf(instance: TestedLatchkey | undefined) {
  return createClient({ url: `http://${instance?.operator}`, token: env["ADMIN_TOKEN"] ?? "" });
}

async function statusThrough(envoy: EnvoyProcess | undefined, key: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${envoy?.port}/v1/chat/x`, {
    headers: { authorization: `Bearer ${key}` },
  });
  return response.status;
}

describe("two instances on one Redis", () => {
  test("both instances know the same keys, and share their tokens exactly", async () => {
    const key = await operatorOf(instances[0]).register({ name: "shared", key_type: "basic" });
    expect(await operatorOf(instances[1]).keys.show(key.key_id)).toMatchObject({
      name: "shared",
      status: "active",
    });
    const statuses = await Promise.all(
      Array.from({ length: 160 }, (_, at) => statusThrough(envoys[at % 2], key.api_key)),
    );
    expect(statuses.filter((status) => status === 200)).toHaveLength(60);
    expect(statuses.filter((status) => status === 429)).toHaveLength(100);
  });

  test("a refresh does not fill the bucket", async () => {
    const operator = operatorOf(instances[0]);
    const key = await operator.register({ name: "spent", key_type: "basic" });
    await Promise.all(Array.from({ length: 70 }, () => statusThrough(envoys[0], key.api_key)));
    const next = await operator.keys.rotate(key.key_id);
    const statuses = await Promise.all(
      Array.from({ length: 10 }, () => statusThrough(envoys[1], next.api_key)),
    );
    expect(statuses.filter((status) => status === 200)).toEqual([]);
  });

  test("operators see what is left in a bucket, and can fill it again", async () => {
    const operator = operatorOf(instances[0]);
    const key = await operator.register({ name: "reset", key_type: "basic" });
    const [before] = (await operator.limits.show(key.key_id)).limits;
    expect(before).toMatchObject({ name: "per-key", per: "key", capacity: 60, tokens: 60, leased_tokens: 0 });
    while ((await statusThrough(envoys[0], key.api_key)) === 200);
    const [spent] = (await operatorOf(instances[1]).limits.show(key.key_id)).limits;
    expect(spent?.tokens).toBeLessThan(5);
    while ((await statusThrough(envoys[1], key.api_key)) === 200);
    await operator.limits.reset(key.key_id);
    expect(await statusThrough(envoys[0], key.api_key)).toBe(200);
    // The other instance remembers that the bucket is empty, until it is notified.
    await expect.poll(() => statusThrough(envoys[1], key.api_key), { interval: 20 }).toBe(200);
    await expect(operator.limits.show("basic_1_abcdefghijklmnopqrstuv")).rejects.toMatchObject({
      status: 404,
    });
  });

  test("each instance applies the other's revocations and incident switches", async () => {
    const [one, two] = [operatorOf(instances[0]), operatorOf(instances[1])];
    const key = await one.register({ name: "to be revoked", key_type: "basic" });
    expect(await statusThrough(envoys[1], key.api_key)).toBe(200);
    await one.keys.revoke(key.key_id);
    await expect.poll(() => statusThrough(envoys[1], key.api_key), { interval: 20 }).toBe(401);
    const other = await two.register({ name: "cut off", key_type: "basic" });
    await two.keys.revokeIssuedBefore({ before: new Date().toISOString(), role: "contributor" });
    expect(await statusThrough(envoys[1], other.api_key)).toBe(200);
    await two.keys.revokeIssuedBefore({ before: new Date().toISOString() });
    await expect.poll(() => statusThrough(envoys[0], other.api_key), { interval: 20 }).toBe(401);
    const later = await one.register({ name: "after the incident", key_type: "basic" });
    await expect.poll(() => statusThrough(envoys[1], later.api_key)).toBe(200);
    await expect(one.keys.revokeIssuedBefore({ before: "2999-01-01T00:00:00Z" })).rejects.toMatchObject({
      status: 400,
    });
  });

  test("the metrics show how fresh each instance's revocations are", async () => {
    for (const { ops } of instances) {
      const metrics = await (await fetch(`http://${ops}/metrics`)).text();
      expect(Number(/^latchkey_revocation_staleness_seconds (\S+)$/m.exec(metrics)?.[1])).toBeLessThan(60);
      expect(await (await fetch(`http://${ops}/readyz`)).json()).toEqual({
        status: "ready",
        parts: { instance: "ready", revocations: "ready", secrets: "ready", clock: "ready" },
        redis: { topology: "single", address: `127.0.0.1:${redis.port}` },
      });
    }
  });

  test("an instance with another secret reports it and is not ready, and the others stay ready", async () => {
    const stranger = await startLatchkey({ ...env, JWT_SECRET: newSecret() });
    const parts = async ({ ops }: TestedLatchkey) => (await fetch(`http://${ops}/readyz`)).json();
    expect(await parts(stranger)).toMatchObject({ status: "not_ready", parts: { secrets: "not_ready" } });
    expect(stranger.output()).toContain("which have a different JWT_SECRET or JWT_KEYS_FILE");
    for (const instance of instances) {
      expect(await parts(instance)).toMatchObject({ status: "ready" });
      const said = () => instance.output();
      await expect.poll(said).toContain("signs with a key that this instance does not have");
    }
    await stranger.stop();
  });

  test("the shipped Redis user may run every command that the instances need", async () => {
    expect(await redis.cli("ACL", "LOG")).toBe("");
  });

  test("Redis has the keys where the guide looks for them, and contains no key's text", async () => {
    const key = await operatorOf(instances[0]).register({ name: "looked for", key_type: "contributor" });
    const names = (await redis.cli("--scan", "--pattern", "api_key:*")).split("\n");
    expect(names).toContain(`api_key:${key.key_id}`);
    for (const name of names) expect(await redis.cli("GET", name)).not.toContain("eyJ");
  });
});

test("a generated ADMIN_TOKEN is shared by the fleet through Redis", async () => {
  const { ADMIN_TOKEN: _, ...without } = env;
  const [first, second] = await Promise.all([startLatchkey(without), startLatchkey(without)]);
  const token = await redis.cli("GET", "latchkey:secret:admin_token");
  for (const instance of [first, second]) {
    const { keys } = await createClient({ url: `http://${instance.operator}`, token }).keys.list({
      limit: 1,
    });
    expect(keys.length).toBe(1);
    expect(instance.output()).not.toContain(token);
    await instance.stop();
  }
});

test("without Redis a registration gets 503 with Retry-After and leaves nothing behind, and Checks of known keys are decided", async () => {
  const own = await startRedis();
  const latchkey = await startLatchkey({ ...env, REDIS_URL: own.url, REDIS_COMMAND_TIMEOUT_MS: "50" });
  const envoy = await startEnvoy({ authzTarget: latchkey.grpc, upstreamPort: upstream.port });
  const operator = operatorOf(latchkey);
  const key = await operator.register({ name: "before", key_type: "contributor" });
  expect(await statusThrough(envoy, key.api_key)).toBe(200);
  process.kill(own.pid, "SIGSTOP");
  await expect(operator.register({ name: "during", key_type: "contributor" })).rejects.toMatchObject({
    status: 503,
    reason: "store-unavailable",
    retryAfterSeconds: 1,
  });
  expect(await operator.validate(key.api_key)).toMatchObject({ valid: true });
  // This store is younger than local_max, so no instance may use a share of it yet.
  expect([200, 503]).toContain(await statusThrough(envoy, key.api_key));
  process.kill(own.pid, "SIGCONT");
  await expect.poll(() => statusThrough(envoy, key.api_key)).toBe(200);
  const names: string[] = [];
  for await (const { name } of operator.keys.all()) names.push(name);
  // Redis may have executed a timed-out command: then the key is complete and listed, never partial.
  expect(names.filter((name) => name !== "during")).toEqual(["before"]);
  await Promise.all([envoy.stop(), latchkey.stop()]);
  await own.stop();
});

test("production does not start on a Redis without a password", async () => {
  const secrets = {
    JWT_SECRET: newSecret(),
    KEY_HASH_SECRET: newSecret(),
    AUDIT_KEY: newSecret(),
    ADMIN_TOKEN: newSecret(),
  };
  const started = startLatchkey({
    ...secrets,
    ENVIRONMENT: "production",
    REDIS_HOST: "127.0.0.1",
    OPERATOR_LISTEN: "127.0.0.1:0",
  });
  await expect(started).rejects.toThrow("Redis has no password");
});
