import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { RedisClient } from "../../src/redis/client.ts";
import { connectRedis } from "../../src/redis/client.ts";
import { createMembership } from "../../src/redis/membership.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";

const LOCAL_MAX_MS = 600_000;

let redis: TestedRedis;
let client: RedisClient;
/** Adds up what an instance's monotonic clock was advanced by. */
let advancedMs = 0;
let started = 0;

beforeAll(async () => {
  redis = await startRedis();
  client = await connectRedis({ url: redis.url, commandTimeoutMs: 2000 });
});
afterAll(async () => {
  await client?.close();
  await redis?.stop();
});
beforeEach(async () => {
  await redis.cli("FLUSHALL");
  // A store whose history is long enough.
  await redis.cli("SET", client.keys.epoch, "epoch 1");
});

function newInstance() {
  const instanceId = `m${started++}`;
  const monotonicMs = () => performance.now() + advancedMs;
  const localMaxMs = () => LOCAL_MAX_MS;
  const membership = createMembership(client, { instanceId, monotonicMs, localMaxMs, newRandom: () => "r" });
  return { instanceId, ...membership };
}

/** As if Redis's clock had stepped by this time: only differences of times matter. */
async function stepClock(byMs: number): Promise<void> {
  const all = (await redis.cli("ZRANGE", client.keys.members, "0", "-1", "WITHSCORES")).trim().split("\n");
  for (let at = 0; at < all.length; at += 2)
    await redis.cli("ZADD", client.keys.members, String(Number(all[at + 1]) - byMs), all[at] ?? "");
}

/** The part of each bucket that the instances may refill together while Redis is unavailable. */
function partsOf(instances: readonly ReturnType<typeof newInstance>[]): number {
  const entitled = instances.map(({ current }) => current()).filter((known) => known?.counted === true);
  return entitled.reduce((sum, known) => sum + 1 / (known?.members ?? 0), 0);
}

/** Sends heartbeats until each instance knows that all others have counted it. */
async function countAll(instances: readonly ReturnType<typeof newInstance>[]): Promise<void> {
  const counted = async () => {
    for (const { heartbeat } of instances) await heartbeat();
    return instances.map(({ current }) => current()?.counted);
  };
  await expect.poll(counted).toEqual(instances.map(() => true));
  expect(partsOf(instances)).toBe(1);
}

async function newFleet() {
  const [one, other] = [newInstance(), newInstance()];
  await countAll([one, other]);
  return { one, other };
}

test("after a forward step of Redis's clock, no instance takes the share of one that it has forgotten", async () => {
  const { one, other } = await newFleet();
  await stepClock(LOCAL_MAX_MS + 60_000);
  for (let round = 0; round < 3; round++) await one.heartbeat();
  expect(partsOf([one, other])).toBeLessThanOrEqual(1);
  // By now the other one uses its share no longer.
  advancedMs += LOCAL_MAX_MS;
  await one.heartbeat();
  expect(one.current()).toMatchObject({ members: 1, counted: true });
});

test("after the loss of all members, no instance takes the share of another one", async () => {
  const { one, other } = await newFleet();
  await redis.cli("DEL", client.keys.members);
  await one.heartbeat();
  expect(partsOf([one, other])).toBeLessThanOrEqual(1);
});

test("after a backward step of Redis's clock, an instance that joins waits until all others have counted it", async () => {
  const { one, other } = await newFleet();
  await stepClock(-60_000);
  const joined = newInstance();
  await joined.heartbeat();
  await one.heartbeat();
  await joined.heartbeat();
  // `other` still takes half, because it has not counted the new one.
  expect(partsOf([one, other, joined])).toBeLessThanOrEqual(1);
  await countAll([one, other, joined]);
});

test("an instance that has left uses no share", async () => {
  const { one, other } = await newFleet();
  await one.leave();
  await other.heartbeat();
  expect(partsOf([one, other])).toBeLessThanOrEqual(1);
});
