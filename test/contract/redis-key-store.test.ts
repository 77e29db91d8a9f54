import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { changeKey } from "../../src/core/keys/key-administration.ts";
import { countKeys } from "../../src/core/keys/key-listing.ts";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import { NEVER } from "../../src/core/keys/key-record.ts";
import { registerKey } from "../../src/core/keys/key-registration.ts";
import {
  revokeFamily,
  revokeIssuedBefore,
  revokeOne,
  revokeOwner,
} from "../../src/core/keys/key-revocation.ts";
import { importLegacyKeys } from "../../src/core/legacy/legacy-import.ts";
import { createBucketAdmin } from "../../src/redis/bucket-admin.ts";
import type { RedisClient } from "../../src/redis/client.ts";
import { connectRedis } from "../../src/redis/client.ts";
import { createDropLeases } from "../../src/redis/drop-leases.ts";
import { createKeyStore } from "../../src/redis/key-store.ts";
import { RedisUnavailable } from "../../src/redis/redis-error.ts";
import { spreadOnOneServer } from "../../src/redis/spread-client.ts";
import type { FakeClock } from "../support/faketime.ts";
import { newFakeClock } from "../support/faketime.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";
import { startRegistry } from "../support/topology.ts";
import { clockSuite } from "./clock-suite.ts";
import { freezeSuite } from "./freeze-suite.ts";
import type { StoreUnderTest } from "./key-store-suite.ts";
import { instanceOn, keyStoreSuite, START, settableClock } from "./key-store-suite.ts";
import { legacySuite } from "./legacy-suite.ts";
import { overrideSuite } from "./override-suite.ts";
import { ownerKeysSuite } from "./owner-keys-suite.ts";
import { selfServiceSuite } from "./self-service-suite.ts";

const RETENTION = {
  recordRetentionSeconds: 7 * 86_400,
  waitReplicas: 0,
  replicaTimeoutMs: 100,
  newRandom: () => "epoch",
};
const NOW = 1_800_000_000;
let fake: FakeClock;
let redis: TestedRedis;
let client: RedisClient;
/** Reads what Latchkey's own user is not permitted to read. */
let admin: RedisClient;

beforeAll(async () => {
  fake = await newFakeClock();
  redis = await startRegistry({ env: fake.env });
  client = await connectRedis({ url: redis.url, commandTimeoutMs: 2000 });
  admin = await connectRedis({ url: redis.adminUrl, commandTimeoutMs: 2000 });
});

beforeEach(() => fake.freeze(NOW));

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
  owner: "user@example.com",
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
      clock: settableClock(NOW, fake.freeze),
      auditTrail: async () => {
        const entries = await command("XRANGE", client.keys.audit, "-", "+");
        return (Array.isArray(entries) ? entries : []).map(([, [, event]]) => JSON.parse(event));
      },
      traces: async (keyId) => {
        const found: string[] = [];
        const all = await command("KEYS", "*");
        for (const name of Array.isArray(all) ? all.map(String) : []) {
          if (name === client.keys.key(keyId)) found.push(name);
          if ((await command("TYPE", name)) === "zset" && (await command("ZSCORE", name, keyId)) !== null)
            found.push(name);
        }
        // The index of families has no ids: a member without a key is a trace.
        const indexed = [client.keys.byFamily, client.keys.byAge].map((name) => command("ZCARD", name));
        const [inFamilies, keys] = await Promise.all(indexed);
        if (inFamilies !== keys) found.push(`${inFamilies} of ${keys} in ${client.keys.byFamily}`);
        return found;
      },
    };
  };
  keyStoreSuite(setUp);
  legacySuite(setUp);
  ownerKeysSuite(setUp);
  freezeSuite(setUp);
  clockSuite(setUp);
  overrideSuite(setUp);
  selfServiceSuite(async () => {
    const under = await setUp();
    const countAgain = async (keyIds: readonly string[]) => {
      for (const keyId of keyIds) await command("ZADD", client.keys.selfService, NEVER, keyId);
      return under.open();
    };
    return { ...under, countAgain };
  });

  test("a family's list has the keys that an earlier build has registered, which are not in its index", async () => {
    await command("FLUSHALL");
    const store = createKeyStore(client, RETENTION);
    const registry = instanceOn(store, { nowSeconds: START });
    const origin = { caller: { kind: "admin", id: "t" } } as const;
    const made = [];
    for (const name of ["a", "b", "c"]) {
      const issued = await registerKey(registry, { role: "contributor", name }, origin);
      if (issued.kind !== "issued") throw new Error(issued.reason);
      made.push(issued.record);
    }
    const [, old] = made;
    if (old === undefined) throw new Error("no key");
    // The sequence number of the second key.
    await command("ZREM", client.keys.byFamily, `${old.family}:0000000000000002`);
    expect(await countKeys(registry, { family: old.family })).toMatchObject({ live: 1 });
    for (const { keyId, family } of made) {
      const listed: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await store.page({ of: { family }, limit: 1, ...(cursor !== undefined && { cursor }) });
        if (page === "cursor_unknown") throw new Error(page);
        listed.push(...page.entries.map(({ record }) => record.keyId));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      expect(listed).toEqual([keyId]);
    }
  });

  test("a sweep repairs the index of families after instances of an earlier build", async () => {
    await command("FLUSHALL");
    const store = createKeyStore(client, RETENTION);
    const registry = instanceOn(store, { nowSeconds: START });
    const line = (_: unknown, at: number) => ({ line: at, key: `key ${at}`, name: "x", role: "basic" });
    const lines = Array.from({ length: 120 }, line);
    await importLegacyKeys(registry, [lines], { caller: { kind: "admin", id: "t" } }, false);
    const members = async () => command("ZRANGE", client.keys.byFamily, 0, -1);
    const whole = await members();
    expect(whole).toHaveLength(lines.length);
    // As many keys are missing as members have no key any more, and one.
    await command("ZREMRANGEBYRANK", client.keys.byFamily, 0, 59);
    for (let at = 0; at < 61; at++) await command("ZADD", client.keys.byFamily, 0, `gone:${1e15 + at}`);
    for (let turn = 0; turn < 10; turn++) await store.sweep(0, 500);
    expect(await members()).toEqual(whole);
  });

  test("a repeated change writes nothing", async () => {
    await command("FLUSHALL");
    const registry = instanceOn(createKeyStore(client, RETENTION), { nowSeconds: START });
    const origin = { caller: { kind: "admin", id: "t" } } as const;
    const made = await registerKey(registry, { role: "contributor", name: "x" }, origin);
    if (made.kind !== "issued") throw new Error(made.reason);
    const { keyId, family } = made.record;
    const change = async () => {
      await importLegacyKeys(
        registry,
        [[{ line: 1, key: "imported", name: "x", role: "basic" }]],
        origin,
        false,
      );
      await changeKey(registry, keyId, { name: "y", disabled: true }, origin);
      await revokeOne(registry, keyId, origin);
      await revokeFamily(registry, family, origin);
      await revokeOwner(registry, family, origin);
      await revokeIssuedBefore(registry, START, {}, origin);
    };
    await change();
    const writes = async () =>
      /rdb_changes_since_last_save:(\d+)/.exec(await redis.cli("INFO", "persistence"))?.[1];
    const before = await writes();
    await change();
    expect(Number(before)).toBeGreaterThan(10);
    expect(await writes()).toBe(before);
  });

  test("a reset of full buckets writes nothing", async () => {
    const forgotten: string[] = [];
    const forget = (bucketId: string) => void forgotten.push(bucketId);
    const dropLeases = createDropLeases(client, forget);
    const buckets = createBucketAdmin({ spread: spreadOnOneServer(client), dropLeases, forget });
    const limit = { name: "n", per: "key", leased: true, capacity: 5, refillPerSecond: 1 } as const;
    const writes = async () =>
      /rdb_changes_since_last_save:(\d+)/.exec(await redis.cli("INFO", "persistence"))?.[1];
    const before = await writes();
    await buckets.reset([{ bucketId: "none", limit }]);
    expect([await writes(), forgotten]).toEqual([before, ["none"]]);
  });

  test("a SCAN for api_key:* lists only the keys, and each expires by itself", async () => {
    await command("FLUSHALL");
    const store = createKeyStore(client, RETENTION);
    await store.commit({ nowSeconds: NOW, put: [record], audit: [] });
    expect(await redis.cli("--scan", "--pattern", "api_key:*")).toBe(client.keys.key(record.keyId));
    const livesFor = Number(await command("TTL", client.keys.key(record.keyId)));
    expect(NOW + livesFor).toBeGreaterThan(record.expiresAt + 7 * 86_400);
  });

  test("a key takes at most 1 KB by MEMORY USAGE, even with the longest ASCII name and the largest metadata", async () => {
    await command("FLUSHALL");
    const store = createKeyStore(client, RETENTION);
    const { metadata: _, ...rest } = record;
    const usual = { ...rest, keyId: `${record.keyId}U`.slice(0, 44), name: "billing service, production" };
    await store.commit({ nowSeconds: NOW, put: [record, usual], audit: [] });
    expect(Number(await command("MEMORY", "USAGE", client.keys.key(usual.keyId)))).toBeLessThanOrEqual(512);
    expect(Number(await command("MEMORY", "USAGE", client.keys.key(record.keyId)))).toBeLessThanOrEqual(1024);
  });

  test("a large sweep runs in small scripts, and removes cut-offs that no token needs", async () => {
    await command("FLUSHALL");
    const store = createKeyStore(client, RETENTION);
    const expiresAt = NOW - RETENTION.recordRetentionSeconds - 60;
    for (let at = 0; at < 120; at++)
      await store.commit({
        nowSeconds: NOW,
        put: [{ ...record, keyId: `basic_1_${at}`, expiresAt }],
        audit: [],
      });
    const cutOff = { kind: "cutoff", scope: "owner", before: 1 } as const;
    for (let at = 0; at < 300; at++) {
      const end = { ...cutOff, subject: `o${at}`, until: at < 100 ? NOW : NOW + 3600 };
      await store.commit({ nowSeconds: NOW, put: [], end, audit: [] });
    }
    await command("CONFIG", "RESETSTAT");
    expect(await store.sweep(NOW, 120)).toBe(120);
    const calls = Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis.cli("INFO", "commandstats"))?.[1]);
    expect(calls).toBeGreaterThanOrEqual(3);
    const left = async () => {
      await store.sweep(NOW, 120);
      return Number(await command("HLEN", client.keys.cutOffs));
    };
    await expect.poll(left).toBe(200);
  });

  test("last uses are stored only for keys that have a record, and removed if it is lost", async () => {
    const { open, clock } = await setUp();
    const store = await open();
    await store.commit({ nowSeconds: clock.nowSeconds, put: [record], audit: [] });
    const used = new Map([[record.keyId, NOW]]);
    await store.noteUse(new Map([...used, ["contributor_1_unknown000000000000000", NOW]]));
    expect(await command("ZRANGE", client.keys.lastUsed, 0, -1)).toEqual([record.keyId]);
    await command("DEL", client.keys.key(record.keyId));
    await store.sweep(NOW, 100);
    expect(await command("EXISTS", client.keys.lastUsed)).toBe(0);
    await store.noteUse(used);
    expect(await command("EXISTS", client.keys.lastUsed)).toBe(0);
  });

  test("scripts that the server has flushed are sent again", async () => {
    await command("FLUSHALL");
    const store = createKeyStore(client, RETENTION);
    await command("SCRIPT", "FLUSH");
    expect(await store.commit({ nowSeconds: NOW, put: [record], audit: [] })).toMatchObject({
      kind: "committed",
    });
  });

  test("a damaged record, or a Redis key of another type, does not count as missing", async () => {
    await command("FLUSHALL");
    const store = createKeyStore(client, RETENTION);
    await command("SET", client.keys.key(record.keyId), "{}");
    await expect(store.load(record.keyId)).rejects.toThrow("damaged");
    await expect(store.commit({ nowSeconds: NOW, put: [record], audit: [] })).resolves.toEqual({
      kind: "conflict",
    });
    await command("DEL", client.keys.key(record.keyId));
    await command("LPUSH", client.keys.key(record.keyId), "x");
    await expect(store.load(record.keyId)).rejects.toBeInstanceOf(RedisUnavailable);
    await expect(store.commit({ nowSeconds: NOW, put: [record], audit: [] })).rejects.toBeInstanceOf(
      RedisUnavailable,
    );
    expect(await command("KEYS", "latchkey:*")).toEqual([]);
  });

  test("an unavailable Redis is detected in time, and works again when it continues or restarts", async () => {
    const own = await startRedis();
    const impatient = await connectRedis({ url: own.url, commandTimeoutMs: 50 });
    impatient.finishStartup();
    const store = createKeyStore(impatient, RETENTION);
    try {
      const nowSeconds = Math.floor(Date.now() / 1000);
      // On a busy machine a commit may time out. Then it may have run.
      const commit = () =>
        store.commit({ nowSeconds, put: [record], audit: [] }).then(({ kind }) => kind, String);
      await expect.poll(commit).toMatch(/^(?:committed|conflict)$/);
      process.kill(own.pid, "SIGSTOP");
      await expect(store.load(record.keyId)).rejects.toMatchObject({
        name: "RedisUnavailable",
        kind: "timeout",
      });
      process.kill(own.pid, "SIGCONT");
      await expect
        .poll(() => store.load(record.keyId).catch(() => undefined), { interval: 20 })
        .toEqual(record);
      await own.stop("SIGKILL");
      await expect(store.load(record.keyId)).rejects.toMatchObject({ kind: "connection" });
      const back = await startRedis({ port: own.port });
      const later = () => store.load(record.keyId).then(String, () => "unavailable");
      await expect.poll(later, { interval: 20 }).toBe("undefined");
      await back.stop();
    } finally {
      await impatient.close();
    }
  });
});
