import { mkdir } from "node:fs/promises";
import { afterEach, expect, test } from "vitest";
import type { RedisClient } from "../../src/redis/client.ts";
import { connectRedis } from "../../src/redis/client.ts";
import type { WarningOptions } from "../../src/redis/warnings.ts";
import { redisWarnings } from "../../src/redis/warnings.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";
import { NODE_ARGS } from "../support/sentinel.ts";

const endings: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function start(...args: readonly string[]): Promise<TestedRedis> {
  const redis = await startRedis({ args });
  endings.push(() => redis.stop("SIGKILL"));
  return redis;
}

const SAFE = ["--appendonly", "yes"];

/** The events of all warnings, as the user with all rights sees them. */
async function warningsOf({ adminUrl }: Pick<TestedRedis, "adminUrl">, options: WarningOptions = {}) {
  const client = await connectRedis({ url: adminUrl, commandTimeoutMs: 2000 });
  try {
    return (await redisWarnings(client, options)).map(({ event }) => event);
  } finally {
    await client.close();
  }
}

test("a Redis that keeps its data and evicts nothing is not warned about", async () => {
  const redis = await start(...SAFE);
  expect(await warningsOf(redis)).toEqual([]);
  // Without a limit nothing is evicted.
  await redis.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru");
  expect(await warningsOf(redis)).toEqual([]);
});

test.each(["allkeys-lru", "volatile-ttl", "allkeys-random"])("maxmemory-policy %s", async (policy) => {
  const redis = await start(...SAFE, "--maxmemory", "100mb", "--maxmemory-policy", policy);
  expect(await warningsOf(redis)).toEqual([
    `Redis evicts keys and revocations when its memory is full (maxmemory-policy ${policy})`,
  ]);
});

test("no append-only file", async () => {
  expect(await warningsOf(await start())).toEqual([expect.stringContaining("no append-only file")]);
});

test("data that cannot be written to the disk", async () => {
  const redis = await start(...SAFE);
  // A folder cannot be replaced by a file, whatever rights the server has.
  await mkdir(`${redis.dir}/dump.rdb`);
  await redis.cli("BGSAVE");
  await expect.poll(() => warningsOf(redis)).toEqual([expect.stringContaining("rdb_last_bgsave_status:err")]);
});

test("an append-only file that the kernel writes when it likes", async () => {
  expect(await warningsOf(await start(...SAFE, "--appendfsync", "no"))).toEqual([
    expect.stringContaining("appendfsync no"),
  ]);
});

test("a primary that notices late that it is cut off", async () => {
  const redis = await start(
    ...SAFE,
    ...NODE_ARGS,
    "--min-replicas-to-write",
    "1",
    "--min-replicas-max-lag",
    "60",
  );
  const replica = await start("--replicaof", "127.0.0.1", String(redis.port));
  await expect
    .poll(() => warningsOf(redis).catch(String))
    .toEqual([expect.stringContaining("only after 60 s")]);
  await redis.cli("CONFIG", "SET", "min-replicas-max-lag", "10");
  expect(await warningsOf(redis)).toEqual([]);
  expect(await replica.cli("PING")).toBe("PONG");
});

test("more replicas to wait for than there are", async () => {
  expect(await warningsOf(await start(...SAFE), { waitReplicas: 2 })).toEqual([
    "REDIS_WAIT_REPLICAS is 2, and the primary has 0 replicas",
  ]);
});

test("a replica that empties itself before it loads, on an engine that has this setting", async () => {
  const redis = await start(...SAFE);
  const reply = await redis.cli("CONFIG", "SET", "repl-diskless-load", "flush-before-load");
  // Redis rejects the value, so only Valkey can be set up like this.
  const isValkey = reply === "OK";
  expect(isValkey).toBe(/^valkey_version:/m.test(await redis.cli("INFO", "server")));
  expect(await warningsOf(redis)).toEqual(isValkey ? [expect.stringContaining("flush-before-load")] : []);
  for (const value of ["disabled", "on-empty-db", "swapdb"]) {
    expect(await redis.cli("CONFIG", "SET", "repl-diskless-load", value)).toBe("OK");
    expect(await warningsOf(redis)).toEqual([]);
  }
  // The check itself, on every engine.
  const client = await connectRedis({ url: redis.adminUrl, commandTimeoutMs: 2000 });
  endings.push(client.close);
  const asValkey: RedisClient = {
    ...client,
    async commands(list) {
      const replies = await client.commands(list);
      return replies.map((reply, at) =>
        list[at]?.includes("repl-diskless-load") ? ["repl-diskless-load", "flush-before-load"] : reply,
      );
    },
  };
  expect(await redisWarnings(asValkey)).toMatchObject([{ action: expect.stringContaining("swapdb") }]);
});

test("the shipped user is not asked for CONFIG, and one that may not use it gets the other warnings", async () => {
  const redis = await start("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru");
  const client = await connectRedis({ url: redis.url, commandTimeoutMs: 2000 });
  endings.push(client.close);
  const events = async (options: WarningOptions) => (await redisWarnings(client, options)).length;
  expect(await events({ username: "latchkey" })).toBe(2);
  expect(await redis.cli("ACL", "LOG")).toBe("");
  expect(await events({})).toBe(2);
  expect(await redis.cli("ACL", "LOG")).toContain("config");
});
