import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { AuditEvent } from "../../src/core/audit/audit-event.ts";
import type { AuditPage, FoundEvents } from "../../src/core/audit/audit-query.ts";
import { OLDEST, readEvents } from "../../src/core/audit/audit-query.ts";
import type { AuditStore, StoredEvent } from "../../src/core/audit/ports.ts";
import type { KeyStore } from "../../src/core/keys/ports.ts";
import { createAuditStore } from "../../src/redis/audit-store.ts";
import type { RedisClient } from "../../src/redis/client.ts";
import { connectRedis } from "../../src/redis/client.ts";
import { createKeyStore } from "../../src/redis/key-store.ts";
import { createAuditStore as createEmbeddedAuditStore } from "../../src/sqlite/audit-store.ts";
import { openDatabase } from "../../src/sqlite/database.ts";
import { createKeyStore as createEmbeddedKeyStore } from "../../src/sqlite/key-store.ts";
import { removeAtEnd } from "../support/at-end.ts";
import type { TestedRedis } from "../support/redis.ts";
import type { TestedTopology } from "../support/topology.ts";
import { startTopology } from "../support/topology.ts";

let setup: TestedTopology;
/** The server that holds the registry. */
let redis: TestedRedis;
let client: RedisClient;
let made = 0;

beforeAll(async () => {
  setup = await startTopology();
  redis = setup.registry;
  // The user of production, with the minimum permissions.
  client = await connectRedis({ url: setup.url, commandTimeoutMs: 1000 });
});
afterAll(async () => {
  await client.close();
  await setup.stop();
});
beforeEach(() => redis.cli("FLUSHALL"));

interface TestedStores {
  readonly keys: Pick<KeyStore, "commit">;
  readonly audit: AuditStore;
}

function onRedis(instanceId = "one", options = {}): TestedStores {
  const registry = {
    recordRetentionSeconds: 1,
    waitReplicas: 0,
    replicaTimeoutMs: 100,
    newRandom: () => "epoch",
  };
  return { keys: createKeyStore(client, registry), audit: createAuditStore(client, instanceId, options) };
}

function embedded(): TestedStores {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-audit-store-"));
  removeAtEnd(folder);
  const database = openDatabase(folder);
  return {
    keys: createEmbeddedKeyStore(database, { recordRetentionSeconds: 1, nowMs: Date.now }),
    audit: createEmbeddedAuditStore(database),
  };
}

async function record({ keys }: TestedStores, count = 1, atMs = 1000): Promise<string[]> {
  const events = Array.from({ length: count }, (): AuditEvent => {
    return { eventId: `e${made++}`, atMs, event: "key_revoked", outcome: "done", actor: "anonymous" };
  });
  for (const event of events)
    await keys.commit({ nowSeconds: Math.floor(Date.now() / 1000), put: [], audit: [event] });
  return events.map(({ eventId }) => eventId);
}

const idsOf = (events: readonly StoredEvent[]) => events.map(({ event }) => event.eventId);
const cursorsOf = (events: readonly StoredEvent[]) => events.map(({ cursor }) => cursor);

describe.each([
  ["embedded", embedded],
  ["redis", onRedis],
] as const)("the events of the registry in the %s store", (_name, open) => {
  test("are returned in portions and in their order until they are done", async () => {
    const parts = open();
    expect(await parts.audit.claim(10)).toEqual([]);
    const ids = await record(parts, 3);
    const first = await parts.audit.claim(2);
    expect(idsOf(first)).toEqual(ids.slice(0, 2));
    await parts.audit.done(cursorsOf(first));
    const second = await parts.audit.claim(2);
    expect(idsOf(second)).toEqual(ids.slice(2));
    await parts.audit.done(cursorsOf(second));
    expect(await parts.audit.claim(2)).toEqual([]);
    await parts.audit.done([]);
  });

  test("are read after or before a cursor, or the newest without one, and an invalid cursor is rejected", async () => {
    const parts = open();
    expect(await parts.audit.read({ limit: 5 })).toEqual([]);
    const ids = await record(parts, 5);
    const newest = await parts.audit.read({ limit: 3 });
    expect(idsOf(newest)).toEqual(ids.slice(2));
    const [after = ""] = cursorsOf(newest);
    expect(idsOf(await parts.audit.read({ after, limit: 10 }))).toEqual(ids.slice(3));
    expect(idsOf(await parts.audit.read({ before: after, limit: 10 }))).toEqual(ids.slice(0, 2));
    expect(idsOf(await parts.audit.read({ before: after, limit: 1 }))).toEqual(ids.slice(1, 2));
    const last = newest.at(-1)?.cursor ?? "";
    expect(await parts.audit.read({ after: last, limit: 10 })).toEqual([]);
    for (const invalid of ["", "x", "-1", "1 OR 1=1", "1-1-1", "+", "99999999999999999999", "1 "])
      for (const query of [{ after: invalid }, { before: invalid }])
        await expect(parts.audit.read({ ...query, limit: 1 })).rejects.toThrow(RangeError);
  });

  test("are read from the oldest on, and backwards to the oldest, in any number of pages", async () => {
    const parts = open();
    const ids = await record(parts, 23);
    const walk = async (next: (found: FoundEvents) => AuditPage | undefined, first: AuditPage) => {
      const pages: string[][] = [];
      for (let page: AuditPage | undefined = first; page !== undefined; ) {
        const found = await readEvents(parts.audit, {}, page);
        if (found.events.length > 0) pages.push(idsOf(found.events));
        page = next(found);
      }
      return pages;
    };
    const forward = await walk(
      ({ events, cursor = "" }) => (events.length === 0 ? undefined : { after: cursor, limit: 5 }),
      { after: OLDEST, limit: 5 },
    );
    expect(forward.flat()).toEqual(ids);
    const back = await walk(
      ({ earlier }) => (earlier === undefined ? undefined : { before: earlier, limit: 5 }),
      { limit: 5 },
    );
    expect(back.toReversed().flat()).toEqual(ids);
    expect(back).toHaveLength(5);
  });

  test("are chosen by their time, and a search back ends before older ones are read", async () => {
    const parts = open();
    const nowMs = Date.now();
    const [old] = await record(parts, 1, nowMs - 86_400_000);
    await record(parts, 3, nowMs - 60_000);
    const [late] = await record(parts, 1, nowMs);
    const between = { fromMs: nowMs - 60_000, toMs: nowMs };
    expect((await readEvents(parts.audit, between, { limit: 2 })).events).toHaveLength(2);
    const all = await readEvents(parts.audit, between, { limit: 10 });
    expect([all.events.length, all.earlier]).toEqual([3, undefined]);
    const before = await readEvents(parts.audit, { toMs: nowMs - 60_000 }, { limit: 10 });
    expect(idsOf(before.events)).toEqual([old]);
    const after = await readEvents(parts.audit, { fromMs: nowMs }, { after: OLDEST, limit: 10 });
    expect(idsOf(after.events)).toEqual([late]);
  });

  test("are removed when they are old, but never before they are in a log", async () => {
    const parts = open();
    const later = Date.now() + 3_600_000;
    await parts.audit.sweep(later);
    const ids = await record(parts, 3);
    await parts.audit.sweep(later);
    expect(idsOf(await parts.audit.read({ limit: 10 }))).toEqual(ids);
    const claimed = await parts.audit.claim(10);
    await parts.audit.sweep(later);
    expect(idsOf(await parts.audit.read({ limit: 10 }))).toEqual(ids);
    await parts.audit.done(cursorsOf(claimed));
    const [unwritten = ""] = await record(parts);
    await parts.audit.sweep(0);
    expect(idsOf(await parts.audit.read({ limit: 10 }))).toEqual([...ids, unwritten]);
    await parts.audit.sweep(later);
    expect(idsOf(await parts.audit.read({ limit: 10 })).at(-1)).toBe(unwritten);
    expect(idsOf(await parts.audit.claim(10))).toEqual([unwritten]);
  });
});

test("many old events are removed in batches, between which other work can run", async () => {
  const parts = embedded();
  const events = Array.from({ length: 1600 }, (_, at): AuditEvent => {
    return { eventId: `m${at}`, atMs: at, event: "key_revoked", outcome: "done", actor: "anonymous" };
  });
  await parts.keys.commit({ nowSeconds: Math.floor(Date.now() / 1000), put: [], audit: events });
  await parts.audit.done(cursorsOf(await parts.audit.claim(1600)));
  let [isDone, turns] = [false, 0];
  const sweeping = parts.audit.sweep(1590).then(() => {
    isDone = true;
  });
  for (; !isDone; turns++) await nextTurn();
  await sweeping;
  expect(turns).toBeGreaterThanOrEqual(3);
  expect(await parts.audit.read({ limit: 100 })).toHaveLength(10);
});

describe("instances that share a Redis", () => {
  test("share the work: each event goes to one instance, and all are written", async () => {
    const parts = [onRedis("one"), onRedis("two")];
    const ids = await record(onRedis(), 20);
    const claimed: string[] = [];
    for (let round = 0; round < 10; round++) {
      const portions = await Promise.all(parts.map(({ audit }) => audit.claim(3)));
      for (const [at, portion] of portions.entries()) {
        claimed.push(...idsOf(portion));
        await parts[at]?.audit.done(cursorsOf(portion));
      }
    }
    expect(claimed.sort()).toEqual(ids.sort());
  });

  test("an event that an instance has claimed but not written goes to another one after a while, and not before", async () => {
    const ids = await record(onRedis(), 3);
    const crashed = onRedis("crashed").audit;
    expect(idsOf(await crashed.claim(10))).toEqual(ids);
    expect(await onRedis("other").audit.claim(10)).toEqual([]);
    const impatient = onRedis("impatient", { claimAfterMs: 0 }).audit;
    const reclaimed = await impatient.claim(10);
    expect(idsOf(reclaimed)).toEqual(ids);
    await impatient.done(cursorsOf(reclaimed));
    expect(await impatient.claim(10)).toEqual([]);
  });

  test("the consumer of a stopped instance is removed unless it has pending events", async () => {
    await record(onRedis(), 2);
    const [busy, stopped, own] = ["busy", "stopped", "own"].map(
      (name) => onRedis(name, { deadAfterMs: -1 }).audit,
    );
    await busy?.claim(1);
    const rest = (await stopped?.claim(10)) ?? [];
    await stopped?.done(cursorsOf(rest));
    await own?.sweep(Date.now());
    const names = await redis.cli("XINFO", "CONSUMERS", client.keys.audit, "log");
    expect(names).toContain("busy");
    expect(names).not.toContain("stopped");
  });
});
