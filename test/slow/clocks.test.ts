import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { admits } from "../support/admitted.ts";
import type { FakeClock } from "../support/faketime.ts";
import { newFakeClock } from "../support/faketime.ts";
import { startFaultRelay } from "../support/fault-relay.ts";
import { endings, startReplicated } from "../support/feed.ts";
import { newSecret } from "../support/keys.ts";
import type { TestedLatchkey } from "../support/latchkey.ts";
import { startLatchkey } from "../support/latchkey.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis, urlBy } from "../support/redis.ts";

const DAY = 86_400;
const env = {
  JWT_SECRET: newSecret(),
  KEY_HASH_SECRET: newSecret(),
  ADMIN_TOKEN: newSecret(),
  REDIS_COMMAND_TIMEOUT_MS: "2000",
};
const operatorOf = ({ operator }: TestedLatchkey) =>
  createClient({ url: `http://${operator}`, token: env.ADMIN_TOKEN });

async function sweeps({ ops }: TestedLatchkey): Promise<number> {
  const metrics = await (await fetch(`http://${ops}/metrics`)).text();
  const count = /^latchkey_store_command_duration_seconds_count\{command="sweep"\} (\d+)/m.exec(metrics)?.[1];
  return Number(count ?? 0);
}

/** Resolves once the instance has removed expired entries, which it does every 30 seconds. */
async function swept(instance: TestedLatchkey): Promise<void> {
  const before = await sweeps(instance);
  await expect.poll(() => sweeps(instance), { interval: 200 }).toBeGreaterThan(before);
}

/** Keys that must not become valid again, and one that must stay valid. */
async function makeKeys(instance: TestedLatchkey) {
  const operator = operatorOf(instance);
  const register = (ttl?: number) =>
    operator.register({ name: "n", key_type: "basic", ...(ttl !== undefined && { ttl }) });
  const [revoked, ofFamily, disabled, brief, good] = await Promise.all([
    register(),
    register(),
    register(),
    register(240),
    register(),
  ]);
  await operator.keys.revoke(revoked.key_id);
  await operator.revoke(ofFamily.api_key);
  await operator.keys.change(disabled.key_id, { disabled: true });
  await operator.keys.revoke(brief.key_id);
  return { revoked, ofFamily, disabled, brief, good };
}

async function expectAllHolds(
  instance: TestedLatchkey,
  keys: Awaited<ReturnType<typeof makeKeys>>,
): Promise<void> {
  for (const { api_key } of [keys.revoked, keys.ofFamily, keys.brief])
    expect(await admits(instance, api_key)).toBe("key-revoked");
  expect(await admits(instance, keys.disabled.api_key)).toBe("key-disabled");
  expect(await admits(instance, keys.good.api_key)).toBe(true);
  expect(await operatorOf(instance).keys.show(keys.good.key_id)).toMatchObject({ status: "active" });
}

describe("an instance with a wrong clock removes nothing for the others", () => {
  let redis: TestedRedis;
  let clock: FakeClock;
  let [ahead, jumping, alone]: TestedLatchkey[] = [];
  const started = () => {
    if (ahead === undefined || jumping === undefined || alone === undefined) throw new Error("not started");
    return { ahead, jumping, alone };
  };

  beforeAll(async () => {
    [redis, clock] = await Promise.all([startRedis(), newFakeClock()]);
    const shared = { ...env, REDIS_URL: redis.url };
    const fast = await newFakeClock(235);
    [ahead, jumping, alone] = await Promise.all([
      startLatchkey({ ...shared, ...fast.env }),
      startLatchkey({ ...shared, ...clock.env }),
      startLatchkey({ ...env, ...clock.env }),
    ]);
  });
  afterAll(async () => {
    await Promise.all([ahead?.stop(), jumping?.stop(), alone?.stop()]);
    await redis?.stop();
  });

  test("revocations survive one instance ahead, one that jumps by 15 days and back, and one with its own store", async () => {
    const { ahead, jumping, alone } = started();
    const [shared, own] = await Promise.all([makeKeys(jumping), makeKeys(alone)]);
    clock.set(15 * DAY);
    await Promise.all([swept(ahead), swept(jumping), swept(alone)]);
    clock.set(0);
    await expectAllHolds(jumping, shared);
    await expectAllHolds(alone, own);
    const fresh = await startLatchkey({ ...env, REDIS_URL: redis.url });
    await expectAllHolds(fresh, shared);
    await alone.stop();
    const again = await startLatchkey({ ...env, DATA_DIR: alone.dataDir });
    await expectAllHolds(again, own);
    await Promise.all([fresh.stop(), again.stop()]);
  });
});

describe("the newer of two states applies, whatever a store has lost", () => {
  afterEach(async () => {
    for (const end of endings.splice(0).reverse()) await end();
  });
  const start = async (redisUrl: string) => {
    const instance = await startLatchkey({ ...env, REDIS_URL: redisUrl });
    endings.push(() => instance.stop());
    return instance;
  };

  test("an acknowledged enable stays in effect although a formerly disconnected instance writes back the disable", async () => {
    const redis = await startRedis();
    const relay = await startFaultRelay(redis.port);
    endings.push(() => redis.stop(), relay.close);
    const [well, cutOff] = [await start(redis.url), await start(urlBy(relay.port))];
    const operator = operatorOf(well);
    const { key_id, api_key } = await operator.register({ name: "n", key_type: "basic" });
    await operator.keys.change(key_id, { disabled: true });
    await expect.poll(() => admits(cutOff, api_key), { interval: 250 }).toBe("key-disabled");
    relay.set({ kind: "refuse" });
    await operator.keys.change(key_id, { disabled: false });
    await redis.cli("FLUSHALL");
    await expect.poll(() => well.output()).toContain("Redis may have lost writes");
    relay.set({ kind: "pass" });
    await expect.poll(() => admits(cutOff, api_key), { interval: 250 }).toBe(true);
    expect(await admits(well, api_key)).toBe(true);
    expect(await admits(await start(redis.url), api_key)).toBe(true);
  });

  test("a phase that was lost in a failover, and could not be restored at once, does not override the next phase", async () => {
    const { relay, replica } = await startReplicated();
    const [one, two] = [await start(urlBy(relay.port)), await start(urlBy(relay.port))];
    const operator = operatorOf(one);
    const legacy = await operator.registerLegacy({ name: "n", key_type: "basic" });
    await expect.poll(() => replica.cli("--scan", "--pattern", "api_key:*")).toContain(legacy.key_id);
    await replica.cli("REPLICAOF", "NO", "ONE");
    await operator.migration.set("deprecated");
    const phases = async () =>
      Promise.all([one, two].map(async (each) => (await operatorOf(each).migration.show()).phase));
    await expect.poll(phases).toEqual(["deprecated", "deprecated"]);
    await replica.cli("CONFIG", "SET", "maxmemory", "1");
    relay.leadTo(replica.port);
    const said = () => [one, two].every((each) => each.output().includes("has lost the migration phase"));
    await expect.poll(said).toBe(true);
    await replica.cli("CONFIG", "SET", "maxmemory", "0");
    await operator.migration.set("removed");
    await expect.poll(phases).toEqual(["removed", "removed"]);
    const fresh = await start(urlBy(relay.port));
    for (const instance of [one, two, fresh])
      expect(await admits(instance, legacy.api_key)).toBe("legacy-key-removed");
  });

  test("a phase that was lost while the store rejected writes is restored once it accepts them", async () => {
    const { relay, replica } = await startReplicated();
    const one = await start(urlBy(relay.port));
    await replica.cli("REPLICAOF", "NO", "ONE");
    await operatorOf(one).migration.set("removed");
    await replica.cli("CONFIG", "SET", "maxmemory", "1");
    relay.leadTo(replica.port);
    await expect.poll(() => one.output()).toContain("has lost the migration phase");
    await replica.cli("CONFIG", "SET", "maxmemory", "0");
    await expect.poll(() => replica.cli("GET", "latchkey:migration")).toContain('"removed"');
  });
});
