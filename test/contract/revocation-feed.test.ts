import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import { encodeFeedEntry } from "../../src/core/revocation/feed-entry.ts";
import { createInstanceView } from "../../src/core/revocation/instance-view.ts";
import { restrictionOf } from "../../src/core/revocation/revocation.ts";
import type { RedisClient } from "../../src/redis/client.ts";
import { createKeyStore } from "../../src/redis/key-store.ts";
import { snapshot } from "../../src/redis/snapshot.ts";
import type { Instance } from "../support/feed.ts";
import {
  changed,
  endedIn,
  endings,
  failover,
  NOTHING,
  NOW,
  newRecord,
  nowSeconds,
  put,
  readUntilWell,
  revoked,
  startInstance,
  startReplicated,
  useRedis,
} from "../support/feed.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";

let redis: TestedRedis;
useRedis((started) => {
  redis = started;
});

describe("all instances receive the changes of one", () => {
  test("revoked, disabled, enabled, superseded; a family and a cut-off; buckets", async () => {
    const [one, two] = [await startInstance(redis.port), await startInstance(redis.port)];
    const gone = await revoked(one);
    const other = await put(one, newRecord());
    await put(one, { ...other, version: 2, disabled: true });
    const replaced = await put(one, newRecord());
    const successor = { keyId: "basic_1_y", at: NOW, notAfter: NOW };
    await put(one, { ...replaced, version: 2, successor });
    const family = newRecord();
    const until = NOW + 99;
    await one.store.commit({
      nowSeconds: nowSeconds(),
      put: [],
      end: { kind: "family", family: family.family, until },
      audit: [],
    });
    await two.feed.read();
    expect([gone, other, replaced, family].map((record) => endedIn(two.view, record))).toEqual([
      "key_revoked",
      "key_disabled",
      "key_superseded",
      "key_revoked",
    ]);
    await put(one, { ...other, version: 3, disabled: false });
    await one.store.commit({
      nowSeconds: nowSeconds(),
      put: [],
      end: { kind: "cutoff", scope: "role", subject: "basic", before: NOW + 1, until },
      audit: [],
    });
    await two.feed.read();
    expect(endedIn(two.view, { ...other, role: "another" })).toBeUndefined();
    expect(endedIn(two.view, newRecord())).toBe("key_revoked");
    expect([one.lost, two.lost]).toEqual([[], []]);
  });

  test("an instance that starts later learns earlier entries from the snapshot", async () => {
    const record = await revoked(await startInstance(redis.port));
    const later = await startInstance(redis.port);
    expect(endedIn(later.view, record)).toBe("key_revoked");
  });

  test("staleness counts from when the last successful read was sent, and an idle stream also replies", async () => {
    const { feed } = await startInstance(redis.port);
    await feed.read();
    expect(feed.stalenessMs()).toBeLessThan(60_000);
    process.kill(redis.pid, "SIGSTOP");
    try {
      const before = feed.stalenessMs();
      await expect(feed.read()).rejects.toThrow("in time");
      expect(feed.stalenessMs()).toBeGreaterThan(before + 1000);
    } finally {
      process.kill(redis.pid, "SIGCONT");
    }
    await readUntilWell({ feed });
  });
});

describe("a stream that was trimmed", () => {
  test("is detected by the gap in its numbers, and the snapshot shows which restrictions have ended", async () => {
    const [one, two] = [await startInstance(redis.port), await startInstance(redis.port)];
    const disabled = await put(one, newRecord());
    await put(one, { ...disabled, version: 2, disabled: true });
    await two.feed.read();
    expect(endedIn(two.view, disabled)).toBe("key_disabled");
    await put(one, { ...disabled, version: 3, disabled: false });
    const gone = await revoked(one);
    await redis.cli("XTRIM", "latchkey:feed", "MAXLEN", "0");
    const missed = two.missed.length;
    await two.feed.read();
    expect([endedIn(two.view, disabled), endedIn(two.view, gone)]).toEqual([undefined, "key_revoked"]);
    expect(two.lost).toEqual([]);
    // The caches of other entries were notified to reload.
    expect(two.missed.length).toBeGreaterThan(missed);
    // Without the numbers XREAD alone would report that there is no entry.
    const unread = await two.client.command("XREAD", "COUNT", 10, "STREAMS", "latchkey:feed", "0-0");
    expect(unread).toBeNull();
  });
});

describe("a store that has lost its writes makes no revoked key valid", () => {
  test("FLUSHALL: known entries stay, are written back, and reach an instance that starts later", async () => {
    const one = await startInstance(redis.port);
    const record = await revoked(one);
    await one.feed.read();
    await redis.cli("FLUSHALL");
    // Without the write-back, a new instance does not know the entry.
    const fresh = await startInstance(redis.port);
    expect(endedIn(fresh.view, record)).toBeUndefined();
    await one.feed.read();
    expect(one.lost).toEqual([1]);
    expect(endedIn(one.view, record)).toBe("key_revoked");
    await fresh.feed.read();
    expect(endedIn(fresh.view, record)).toBe("key_revoked");
    expect(endedIn((await startInstance(redis.port)).view, record)).toBe("key_revoked");
    // Without the merge, the snapshot alone would not contain the entry.
    await redis.cli("FLUSHALL");
    const alone = createInstanceView();
    for await (const portion of snapshot(one.client)) alone.apply(portion);
    expect(endedIn(alone, record)).toBeUndefined();
  });

  test("an instance that belongs to another fleet writes nothing back, until it belongs to this one", async () => {
    let mayWriteBack = false;
    const one = await startInstance(redis.port, { ...NOTHING, mayWriteBack: () => mayWriteBack });
    const record = await revoked(one);
    await one.feed.read();
    await redis.cli("FLUSHALL");
    await one.feed.read();
    expect(await redis.cli("DBSIZE")).toBe("0");
    expect(endedIn(one.view, record)).toBe("key_revoked");
    mayWriteBack = true;
    await one.feed.read();
    expect(endedIn((await startInstance(redis.port)).view, record)).toBe("key_revoked");
  });

  test("the same after a restart without its data", async () => {
    const own = await startRedis();
    const one = await startInstance(own.port);
    const record = await revoked(one);
    await one.feed.read();
    await own.stop("SIGKILL");
    await expect(one.feed.read()).rejects.toThrow();
    const again = await startRedis({ port: own.port });
    endings.push(() => again.stop());
    await readUntilWell(one);
    expect(one.lost.length).toBeGreaterThan(0);
    expect(endedIn(one.view, record)).toBe("key_revoked");
    expect(endedIn((await startInstance(own.port)).view, record)).toBe("key_revoked");
  });

  test("a promoted replica that was behind its primary: missing entries are written back, newer entries stay", async () => {
    const { relay, replica } = await startReplicated();
    const one = await startInstance(relay.port);
    const early = await put(one, newRecord());
    const reenabled = await put(one, { ...(await put(one, newRecord())), version: 2, disabled: true });
    await one.feed.read();
    await expect.poll(() => replica.cli("XLEN", "latchkey:feed")).toBe("1");
    await replica.cli("REPLICAOF", "NO", "ONE");
    const late = await put(one, { ...early, version: 2, revokedAt: NOW });
    await one.feed.read();
    relay.leadTo(replica.port);
    // Another instance writes to the promoted replica first, and reuses the numbers that were lost.
    const elsewhere = await startInstance(replica.port);
    await put(elsewhere, { ...reenabled, version: 3, disabled: false });
    await revoked(elsewhere);
    expect(endedIn(elsewhere.view, late)).toBeUndefined();
    await readUntilWell(one);
    expect(one.lost.length).toBeGreaterThan(0);
    expect(endedIn(one.view, late)).toBe("key_revoked");
    expect(endedIn(one.view, reenabled)).toBeUndefined();
    await elsewhere.feed.read();
    expect(endedIn(elsewhere.view, late)).toBe("key_revoked");
  });
});

test("an entry of a later version is skipped and does not end the feed", async () => {
  const one = await startInstance(redis.port);
  const record = newRecord();
  const standing = encodeFeedEntry(restrictionOf({ ...record, version: 2, revokedAt: NOW }));
  for (const text of ['["z","?"]', "no list", standing]) {
    const number = await redis.cli("INCR", "latchkey:feed:sequence");
    await redis.cli("XADD", "latchkey:feed", "*", "s", number, "e", text);
  }
  await one.feed.read();
  expect(endedIn(one.view, record)).toBe("key_revoked");
  expect(one.lost).toEqual([]);
});

test("REDIS_WAIT_REPLICAS: a change that too few replicas have is written, and reported as not durable", async () => {
  const { client } = await startInstance(redis.port);
  const store = (waitReplicas: number, of: RedisClient) =>
    createKeyStore(of, {
      recordRetentionSeconds: 1,
      waitReplicas,
      replicaTimeoutMs: 500,
      newRandom: () => "e",
    });
  const change = () => ({ nowSeconds: nowSeconds(), put: [newRecord()], audit: [] });
  expect(await store(1, client).commit(change())).toMatchObject({ kind: "committed", durable: false });
  const { relay } = await startReplicated();
  const replicated = await startInstance(relay.port);
  expect(await store(1, replicated.client).commit(change())).not.toHaveProperty("durable");
  expect(await store(2, replicated.client).commit(change())).toMatchObject({ durable: false });
});

describe("whatever is lost, and whatever is written meanwhile", () => {
  test("lost standings in one epoch, then a gap: stays revoked", async () => {
    const [one, two] = [await startInstance(redis.port), await startInstance(redis.port)];
    const gone = await revoked(one);
    await two.feed.read();
    expect(endedIn(two.view, gone)).toBe("key_revoked");
    await redis.cli("DEL", "latchkey:keys:standings");
    await revoked(one);
    await redis.cli("XTRIM", "latchkey:feed", "MAXLEN", "0");
    await two.feed.read();
    expect(endedIn(two.view, gone)).toBe("key_revoked");
  });

  test("revoked there, renamed twice here: stays revoked", async () => {
    const { one, elsewhere, record } = await failover(
      async (elsewhere, record) => {
        await put(elsewhere, { ...record, version: 2, name: "a" });
        await put(elsewhere, { ...record, version: 3, name: "b" });
      },
      async (one, record) => void (await put(one, { ...record, version: 2, revokedAt: NOW })),
    );
    expect([endedIn(one.view, record), endedIn(elsewhere.view, record)]).toEqual([
      "key_revoked",
      "key_revoked",
    ]);
  });

  test("revoked there, disabled here under the same version: is known as revoked by all, later too", async () => {
    const { one, elsewhere, record, replica } = await failover(
      async (elsewhere, record) => void (await put(elsewhere, { ...record, version: 2, disabled: true })),
      async (one, record) => void (await put(one, { ...record, version: 2, revokedAt: NOW })),
    );
    expect([endedIn(one.view, record), endedIn(elsewhere.view, record)]).toEqual([
      "key_revoked",
      "key_revoked",
    ]);
    expect(endedIn((await startInstance(replica.port)).view, record)).toBe("key_revoked");
  });

  const disableAndEnable = async (instance: Instance, record: KeyRecord) => {
    const disabled = await put(instance, changed(record, { disabled: true }));
    return put(instance, changed(disabled, { disabled: false }));
  };
  const disable = async (instance: Instance, record: KeyRecord) =>
    void (await put(instance, changed(record, { disabled: true })));

  test("disabled and enabled there (lost), disabled here: is denied everywhere", async () => {
    const { one, elsewhere, record } = await failover(
      disable,
      async (one, record) => void (await disableAndEnable(one, record)),
    );
    expect([endedIn(one.view, record), endedIn(elsewhere.view, record)]).toEqual([
      "key_disabled",
      "key_disabled",
    ]);
  });

  test("disabled here after the failover was noticed: is denied everywhere", async () => {
    const { one, elsewhere, record } = await failover(
      async () => undefined,
      async (one, record) => void (await disableAndEnable(one, record)),
    );
    const stored = await elsewhere.store.load(record.keyId);
    if (stored === undefined) throw new Error("the record is lost");
    await disable(elsewhere, stored);
    await readUntilWell(one);
    await readUntilWell(elsewhere);
    expect([endedIn(one.view, record), endedIn(elsewhere.view, record)]).toEqual([
      "key_disabled",
      "key_disabled",
    ]);
  });

  test.each(["first", "last"] as const)(
    "an acknowledged enable supersedes an older disable that a disconnected instance writes back %s",
    async (when) => {
      const [behind, current] = [await startInstance(redis.port), await startInstance(redis.port)];
      const record = await put(current, newRecord());
      const disabled = await put(current, changed(record, { disabled: true }));
      await behind.feed.read();
      await current.feed.read();
      await put(current, changed(disabled, { disabled: false }));
      await current.feed.read();
      await redis.cli("FLUSHALL");
      for (const { feed } of when === "first" ? [behind, current] : [current, behind]) await feed.read();
      for (const { feed } of [behind, current]) await feed.read();
      const later = await startInstance(redis.port);
      expect([behind, current, later].map(({ view }) => endedIn(view, record))).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
    },
  );

  test("a store that takes no writes is still read", async () => {
    const one = await startInstance(redis.port);
    const gone = await revoked(one);
    await one.feed.read();
    await redis.cli("FLUSHALL");
    await redis.cli("CONFIG", "SET", "maxmemory", "1");
    try {
      await one.feed.read();
    } finally {
      await redis.cli("CONFIG", "SET", "maxmemory", "0");
    }
    expect(endedIn(one.view, gone)).toBe("key_revoked");
  });

  test("a revocation repeated while too few replicas have it is not acknowledged", async () => {
    const { client, view } = await startInstance(redis.port);
    const store = createKeyStore(client, {
      recordRetentionSeconds: 1,
      waitReplicas: 1,
      replicaTimeoutMs: 100,
      newRandom: () => "e",
    });
    const record = newRecord();
    await store.commit({ nowSeconds: nowSeconds(), put: [record], audit: [] });
    const registry = {
      store,
      view,
      nowMs: Date.now,
      storeClock: { storeNowMs: Date.now },
      newRandom: () => randomUUID(),
      digest: String,
    } as never;
    const origin = { caller: { kind: "admin", id: "t" } } as const;
    const { revokeOne } = await import("../../src/core/keys/key-revocation.ts");
    await expect(revokeOne(registry, record.keyId, origin)).rejects.toThrow("too few replicas");
    await expect(revokeOne(registry, record.keyId, origin)).rejects.toThrow("too few replicas");
  });
});
