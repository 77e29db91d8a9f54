import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { RedisClient } from "../../src/redis/client.ts";
import { connectRedis } from "../../src/redis/client.ts";
import { createKidExchange } from "../../src/redis/kid-exchange.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";

let redis: TestedRedis;
let client: RedisClient;

beforeAll(async () => {
  redis = await startRedis();
  client = await connectRedis({ url: redis.url, commandTimeoutMs: 2000 });
});
afterAll(async () => {
  await client?.close();
  await redis?.stop();
});
beforeEach(() => redis.cli("FLUSHALL"));

let started = 0;

/** An instance that accepts the key `a` and has these settings, and has published them. */
async function joinWith(settings: Readonly<Record<string, readonly string[]>>) {
  const exchange = createKidExchange(client, {
    instanceId: `i${started++}`,
    kids: () => ["a"],
    settings: new Map(Object.entries(settings)),
  });
  await exchange.heartbeat();
  return exchange;
}

/** An instance that accepts these keys, and has said so. */
async function join(...kids: readonly string[]) {
  const exchange = createKidExchange(client, { instanceId: `i${started++}`, kids: () => kids });
  await exchange.heartbeat();
  return exchange;
}

test("an instance that accepts no key of those who were there before is the stranger; they are not", async () => {
  const [one, two] = [await join("a"), await join("b", "a")];
  const stranger = await join("c");
  await Promise.all([one.heartbeat(), two.heartbeat()]);
  expect([one, two, stranger].map((exchange) => exchange.foreignInstances())).toEqual([
    undefined,
    undefined,
    2,
  ]);
});

test("a former secret that is still accepted is enough", async () => {
  await join("old");
  expect((await join("new", "old")).foreignInstances()).toBeUndefined();
});

test("a stranger is none any more once the others have left, or have ended without a word", async () => {
  const elder = await join("a");
  const stranger = await join("b");
  expect(stranger.foreignInstances()).toBe(1);
  await elder.leave();
  await stranger.heartbeat();
  expect(stranger.foreignInstances()).toBeUndefined();
  await redis.cli("HSET", "latchkey:kids", "ended", "1 1 a");
  await stranger.heartbeat();
  expect(stranger.foreignInstances()).toBeUndefined();
  expect(await redis.cli("HEXISTS", "latchkey:kids", "ended")).toBe("0");
});

test("of two that start at one moment exactly one is the stranger", async () => {
  const [one, two] = await Promise.all([join("a"), join("b")]);
  await Promise.all([one.heartbeat(), two.heartbeat()]);
  expect([one, two].filter((exchange) => exchange.foreignInstances() !== undefined).length).toBe(1);
});

test("what is published is the names of keys as they are given, with nothing beside", async () => {
  await join("digest-of-a");
  expect(await redis.cli("HVALS", "latchkey:kids")).toMatch(/^\d+ \d+ digest-of-a$/);
});

test("every setting that all share is compared by itself, and one value in common is enough", async () => {
  const first = await joinWith({ ISSUER: ["i"], HASH: ["h", "g"] });
  const same = await joinWith({ ISSUER: ["i"], HASH: ["k", "h"] });
  const other = await joinWith({ ISSUER: ["j"], HASH: ["h"] });
  const both = await joinWith({ ISSUER: ["x"], HASH: ["x"] });
  await first.heartbeat();
  expect([first, same, other, both].map((exchange) => exchange.differing())).toEqual([
    [],
    [],
    ["ISSUER"],
    // A value counts for its own setting alone: another instance's HASH is no ISSUER.
    ["ISSUER", "HASH"],
  ]);
  expect(other.foreignInstances()).toBe(2);
});

test("an instance of a version that publishes keys alone is compared by those", async () => {
  await redis.cli("HSET", "latchkey:kids", "old", `1 ${Date.now()} a`);
  expect((await joinWith({ ISSUER: ["i"] })).differing()).toEqual([]);
  expect((await join("b")).differing()).toEqual(["JWT_SECRET or JWT_KEYS_FILE"]);
});

test("a clock's difference is what the way to Redis and back cannot explain", async () => {
  const aheadOf = async (offsetMs: number, wayMs: number) => {
    const slow: RedisClient = {
      ...client,
      async command(name, ...args) {
        if (name === "TIME") await new Promise((resolve) => setTimeout(resolve, wayMs));
        const reply = await client.command(name, ...args);
        if (name === "TIME") await new Promise((resolve) => setTimeout(resolve, wayMs));
        return reply;
      },
    };
    const options = { instanceId: `i${started++}`, kids: () => ["a"], nowMs: () => Date.now() + offsetMs };
    const exchange = createKidExchange(slow, options);
    await exchange.heartbeat();
    return exchange.clockAheadMs();
  };
  expect(await aheadOf(0, 100)).toBe(0);
  expect(Math.abs((await aheadOf(3000, 0)) - 3000)).toBeLessThan(1000);
  expect(Math.abs((await aheadOf(-3000, 0)) + 3000)).toBeLessThan(1000);
});
