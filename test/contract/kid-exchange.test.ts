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

/** An instance that accepts the key `a` and has published it and these settings. */
async function joinWith(settings: Readonly<Record<string, readonly string[]>>) {
  const exchange = createKidExchange(client, {
    instanceId: `i${started++}`,
    kids: () => ["a"],
    settings: new Map(Object.entries(settings)),
  });
  await exchange.heartbeat();
  return exchange;
}

/** An instance that accepts these keys and has published them. */
async function join(...kids: readonly string[]) {
  const exchange = createKidExchange(client, { instanceId: `i${started++}`, kids: () => kids });
  await exchange.heartbeat();
  return exchange;
}

test("an instance that accepts no key of the older instances is foreign, and they are not", async () => {
  const [one, two] = [await join("a"), await join("b", "a")];
  const foreign = await join("c");
  await Promise.all([one.heartbeat(), two.heartbeat()]);
  expect([one, two, foreign].map((exchange) => exchange.foreignInstances())).toEqual([
    undefined,
    undefined,
    2,
  ]);
});

test("a former secret that is still accepted is enough", async () => {
  await join("old");
  expect((await join("new", "old")).foreignInstances()).toBeUndefined();
});

test("an instance is no longer foreign once the others have left or have crashed", async () => {
  const older = await join("a");
  const foreign = await join("b");
  expect(foreign.foreignInstances()).toBe(1);
  await older.leave();
  await foreign.heartbeat();
  expect(foreign.foreignInstances()).toBeUndefined();
  await redis.cli("HSET", "latchkey:kids", "ended", "1 1 a");
  await foreign.heartbeat();
  expect(foreign.foreignInstances()).toBeUndefined();
  expect(await redis.cli("HEXISTS", "latchkey:kids", "ended")).toBe("0");
});

test("an instance stays foreign while the others look stopped after an outage or a step of the clock, until they have stopped", async () => {
  await join("a");
  let advancedMs = 0;
  const monotonicMs = () => performance.now() + advancedMs;
  const options = { instanceId: `i${started++}`, kids: () => ["b"], monotonicMs };
  const foreign = createKidExchange(client, options);
  await foreign.heartbeat();
  const [older = ""] = (await redis.cli("HKEYS", "latchkey:kids")).split("\n");
  await redis.cli("HSET", "latchkey:kids", older, "1 1 a");
  for (const passedMs of [0, 60_000, 5000, 5000, 5000]) {
    advancedMs += passedMs;
    await foreign.heartbeat();
    expect(foreign.foreignInstances()).toBe(1);
  }
  advancedMs += 5000;
  await foreign.heartbeat();
  expect(foreign.foreignInstances()).toBeUndefined();
});

test("of two instances that start at the same moment exactly one is foreign", async () => {
  const [one, two] = await Promise.all([join("a"), join("b")]);
  await Promise.all([one.heartbeat(), two.heartbeat()]);
  expect([one, two].filter((exchange) => exchange.foreignInstances() !== undefined).length).toBe(1);
});

test("only the given names of keys are published", async () => {
  await join("digest-of-a");
  expect(await redis.cli("HVALS", "latchkey:kids")).toMatch(/^\d+ \d+ digest-of-a$/);
});

test("each shared setting is compared separately, and one common value is enough", async () => {
  const first = await joinWith({ ISSUER: ["i"], HASH: ["h", "g"] });
  const same = await joinWith({ ISSUER: ["i"], HASH: ["k", "h"] });
  const other = await joinWith({ ISSUER: ["j"], HASH: ["h"] });
  const both = await joinWith({ ISSUER: ["x"], HASH: ["x"] });
  await first.heartbeat();
  expect([first, same, other, both].map((exchange) => exchange.differing())).toEqual([
    [],
    [],
    ["ISSUER"],
    // A value counts only for its own setting: another instance's HASH is not an ISSUER.
    ["ISSUER", "HASH"],
  ]);
  expect(other.foreignInstances()).toBe(2);
});

test("an instance of a version that publishes only keys is compared by its keys", async () => {
  await redis.cli("HSET", "latchkey:kids", "old", `1 ${Date.now()} a`);
  expect((await joinWith({ ISSUER: ["i"] })).differing()).toEqual([]);
  expect((await join("b")).differing()).toEqual(["JWT_SECRET or JWT_KEYS_FILE"]);
});

test("only a difference beyond the round trip to Redis counts as a difference of clocks", async () => {
  const aheadOf = async (offsetMs: number, latencyMs: number) => {
    const slow: RedisClient = {
      ...client,
      async command(name, ...args) {
        if (name === "TIME") await new Promise((resolve) => setTimeout(resolve, latencyMs));
        const reply = await client.command(name, ...args);
        if (name === "TIME") await new Promise((resolve) => setTimeout(resolve, latencyMs));
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

test("instances see each other's version and phase, and a version that publishes neither is seen too", async () => {
  const facts = { version: "1.2.3-rc.1+b", phase: "gradual", allowed: "12.50", denied: "0.00" };
  const one = createKidExchange(client, { instanceId: "shows", kids: () => ["a", "b"], facts: () => facts });
  await one.heartbeat();
  await join("a");
  const entries = [
    ["broken", "text"],
    ["late", `1 ${"9".repeat(20)} a`],
  ] as const;
  for (const [id, text] of entries) await client.command("HSET", client.keys.kids, id, text);
  await one.heartbeat();
  const [own, other, ...more] = one.instances();
  expect(own).toMatchObject({ ...facts, kids: ["a", "b"] });
  expect(other).toMatchObject({ kids: ["a"] });
  expect(other).not.toHaveProperty("version");
  // Entries without times that can be shown are not listed.
  expect(more).toEqual([]);
  // An instance does not compare what the other one only shows.
  expect(one.differing()).toEqual([]);
});
