import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { KeyRecord } from "../../src/core/key-record.ts";
import type { RedisClient } from "../../src/redis/client.ts";
import { connectRedis } from "../../src/redis/client.ts";
import { createKeyStore } from "../../src/redis/key-store.ts";
import { RedisUnavailable } from "../../src/redis/redis-error.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";
import type { StoreUnderTest } from "./key-store-suite.ts";
import { keyStoreSuite } from "./key-store-suite.ts";
import { legacySuite } from "./legacy-suite.ts";

const RETENTION = {
  recordRetentionSeconds: 7 * 86_400,
  waitReplicas: 0,
  replicaTimeoutMs: 100,
  newRandom: () => "epoch",
};
let redis: TestedRedis;
let client: RedisClient;
/** Looks at what Latchkey's own user may not. */
let admin: RedisClient;

beforeAll(async () => {
  redis = await startRedis();
  client = await connectRedis({ url: redis.url, commandTimeoutMs: 2000 });
  admin = await connectRedis({ url: redis.adminUrl, commandTimeoutMs: 2000 });
});

afterAll(async () => {
  await client?.close();
  await admin?.close();
  await redis?.stop();
});

async function command(...args: readonly [string, ...(string | number)[]]): Promise<unknown> {
  return admin.command(...args);
}

const record: KeyRecord = {
  keyId: "contributor_1800000000_abcdefghijklmnopqrstuv",
  family: "fam_abcdefghijklmnopqrstuv",
  familyStartedAt: 1_800_000_000,
  owner: "somebody@example.com",
  role: "contributor",
  scopes: ["chat:read", "chat:write", "model:read", "data:write"],
  name: "x".repeat(128),
  metadata: JSON.stringify({ a: "y".repeat(504) }),
  issuedAt: 1_800_000_000,
  expiresAt: 1_802_592_000,
  refreshAfter: 1_801_987_200,
  selfService: true,
  ttlSeconds: 2_592_000,
  disabled: false,
  version: 1,
};

describe("the key store in Redis", () => {
  const setUp = async (): Promise<StoreUnderTest> => {
    await command("FLUSHALL");
    const store = createKeyStore(client, RETENTION);
    return {
      open: async () => store,
      auditTrail: async () => {
        const entries = await command("XRANGE", "latchkey:audit", "-", "+");
        return (Array.isArray(entries) ? entries : []).map(([, [, event]]) => JSON.parse(event));
      },
      traces: async (keyId) => {
        const found: string[] = [];
        const all = await command("KEYS", "*");
        for (const name of Array.isArray(all) ? all.map(String) : []) {
          if (name === `api_key:${keyId}`) found.push(name);
          if ((await command("TYPE", name)) === "zset" && (await command("ZSCORE", name, keyId)) !== null)
            found.push(name);
        }
        return found;
      },
    };
  };
  keyStoreSuite(setUp);
  legacySuite(setUp);

  test("a scan for api_key:* lists the keys and nothing else, and each ends by itself", async () => {
    await command("FLUSHALL");
    const store = createKeyStore(client, RETENTION);
    await store.commit({ nowSeconds: 1_800_000_000, put: [record], audit: [] });
    expect(await redis.cli("--scan", "--pattern", "api_key:*")).toBe(`api_key:${record.keyId}`);
    expect(Number(await command("EXPIRETIME", `api_key:${record.keyId}`))).toBeGreaterThan(
      record.expiresAt + 7 * 86_400,
    );
  });

  test("a key has at most 1 KB by MEMORY USAGE, with the longest ASCII name and the largest metadata too", async () => {
    await command("FLUSHALL");
    const store = createKeyStore(client, RETENTION);
    const { metadata: _, ...rest } = record;
    const usual = { ...rest, keyId: `${record.keyId}U`.slice(0, 44), name: "billing service, production" };
    await store.commit({ nowSeconds: 1_800_000_000, put: [record, usual], audit: [] });
    expect(Number(await command("MEMORY", "USAGE", `api_key:${usual.keyId}`))).toBeLessThanOrEqual(512);
    expect(Number(await command("MEMORY", "USAGE", `api_key:${record.keyId}`))).toBeLessThanOrEqual(1024);
  });

  test("a sweep of many is carried out in scripts of few each, and forgets cut-offs that no token needs", async () => {
    await command("FLUSHALL");
    const store = createKeyStore(client, RETENTION);
    const nowSeconds = record.expiresAt + RETENTION.recordRetentionSeconds + 1;
    for (let at = 0; at < 120; at++)
      await store.commit({ nowSeconds: 1, put: [{ ...record, keyId: `basic_1_${at}` }], audit: [] });
    const cutOff = { kind: "cutoff", scope: "owner", before: 1 } as const;
    for (let at = 0; at < 300; at++) {
      const end = { ...cutOff, subject: `o${at}`, until: at < 100 ? nowSeconds : nowSeconds + 1 };
      await store.commit({ nowSeconds: 1, put: [], end, audit: [] });
    }
    await command("CONFIG", "RESETSTAT");
    expect(await store.sweep(nowSeconds, 120)).toBe(120);
    const calls = Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis.cli("INFO", "commandstats"))?.[1]);
    expect(calls).toBeGreaterThanOrEqual(3);
    const left = async () => {
      await store.sweep(nowSeconds, 120);
      return Number(await command("HLEN", "latchkey:cut_offs"));
    };
    await expect.poll(left).toBe(200);
  });

  test("scripts that the server has forgotten are sent again", async () => {
    await command("FLUSHALL");
    const store = createKeyStore(client, RETENTION);
    await command("SCRIPT", "FLUSH");
    expect(await store.commit({ nowSeconds: 1, put: [record], audit: [] })).toMatchObject({
      kind: "committed",
    });
  });

  test("a record that is damaged, or no record, does not pass for a missing one", async () => {
    await command("FLUSHALL");
    const store = createKeyStore(client, RETENTION);
    await command("SET", `api_key:${record.keyId}`, "{}");
    await expect(store.load(record.keyId)).rejects.toThrow("damaged");
    await expect(store.commit({ nowSeconds: 1, put: [record], audit: [] })).resolves.toEqual({
      kind: "conflict",
    });
    await command("DEL", `api_key:${record.keyId}`);
    await command("LPUSH", `api_key:${record.keyId}`, "x");
    await expect(store.load(record.keyId)).rejects.toBeInstanceOf(RedisUnavailable);
    await expect(store.commit({ nowSeconds: 1, put: [record], audit: [] })).rejects.toBeInstanceOf(
      RedisUnavailable,
    );
    expect(await command("KEYS", "latchkey:*")).toEqual([]);
  });

  test("a Redis that is stopped is told in time, and works again when it goes on or comes back", async () => {
    const own = await startRedis();
    const impatient = await connectRedis({ url: own.url, commandTimeoutMs: 50 });
    impatient.started();
    const store = createKeyStore(impatient, RETENTION);
    try {
      await store.commit({ nowSeconds: 1, put: [record], audit: [] });
      process.kill(own.pid, "SIGSTOP");
      await expect(store.load(record.keyId)).rejects.toMatchObject({
        name: "RedisUnavailable",
        kind: "timeout",
      });
      process.kill(own.pid, "SIGCONT");
      await expect
        .poll(() => store.load(record.keyId).catch(() => undefined), { timeout: 3000, interval: 20 })
        .toEqual(record);
      await own.stop("SIGKILL");
      await expect(store.load(record.keyId)).rejects.toMatchObject({ kind: "connection" });
      const back = await startRedis({ port: own.port });
      const later = () => store.load(record.keyId).then(String, () => "unavailable");
      await expect.poll(later, { timeout: 3000, interval: 20 }).toBe("undefined");
      await back.stop();
    } finally {
      await impatient.close();
    }
  });
});
