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

/** An instance that accepts these keys, and has said so. */
async function join(...kids: readonly string[]) {
  const exchange = createKidExchange(client, { instanceId: `i${started++}`, kids: () => kids });
  await exchange.beat();
  return exchange;
}

test("an instance that accepts no key of those who were there before is the stranger; they are not", async () => {
  const [one, two] = [await join("a"), await join("b", "a")];
  const stranger = await join("c");
  await Promise.all([one.beat(), two.beat()]);
  expect([one, two, stranger].map((exchange) => exchange.strangers())).toEqual([undefined, undefined, 2]);
});

test("a former secret that is still accepted is enough", async () => {
  await join("old");
  expect((await join("new", "old")).strangers()).toBeUndefined();
});

test("a stranger is none any more once the others have left, or have ended without a word", async () => {
  const elder = await join("a");
  const stranger = await join("b");
  expect(stranger.strangers()).toBe(1);
  await elder.leave();
  await stranger.beat();
  expect(stranger.strangers()).toBeUndefined();
  await redis.cli("HSET", "latchkey:kids", "ended", "1 1 a");
  await stranger.beat();
  expect(stranger.strangers()).toBeUndefined();
  expect(await redis.cli("HEXISTS", "latchkey:kids", "ended")).toBe("0");
});

test("of two that start at one moment exactly one is the stranger", async () => {
  const [one, two] = await Promise.all([join("a"), join("b")]);
  await Promise.all([one.beat(), two.beat()]);
  expect([one, two].filter((exchange) => exchange.strangers() !== undefined).length).toBe(1);
});

test("what is published is the names of keys as they are given, with nothing beside", async () => {
  await join("digest-of-a");
  expect(await redis.cli("HVALS", "latchkey:kids")).toMatch(/^\d+ \d+ digest-of-a$/);
});
