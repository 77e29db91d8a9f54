import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { beforeEach, expect, test } from "vitest";
import type { LimitStore } from "../../src/core/limits/ports.ts";
import type { Quota } from "../../src/core/policy/policy.ts";
import { createCalendars } from "../../src/core/quotas/calendar.ts";
import type { CounterUse } from "../../src/core/quotas/quota-counter.ts";
import { quotaDemands } from "../../src/core/quotas/quota-demand.ts";
import { createBucketStore } from "../../src/memory/bucket-store.ts";
import { createEmbeddedLimits } from "../../src/server/embedded-limits.ts";
import { createQuotaAdmin } from "../../src/sqlite/quota-admin.ts";
import { createQuotaStore } from "../../src/sqlite/quota-batch.ts";
import type { ThreadedStore } from "../../src/sqlite/threaded-store.ts";
import { openThreadedStore } from "../../src/sqlite/threaded-store.ts";
import "../support/compiled-threads.ts";
import { removeAtEnd } from "../support/at-end.ts";

const BEGIN_MS = Date.UTC(2026, 10, 10);
let dataDir: string;
/** The clock of the store. Leases live by it. */
let nowMs: number;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "latchkey-quota-"));
  removeAtEnd(dataDir);
  nowMs = BEGIN_MS;
});

let processes = 0;

/** The limits of one process on the database. */
async function startProcess() {
  const instanceId = `p${processes++}`;
  const usageRetention = { hoursSeconds: 86_400, daysSeconds: 86_400 };
  const ids = { instanceId, usageRetention };
  const options = { dataDir, recordRetentionSeconds: 1, acceptEmptyRegistry: false, ...ids };
  const store: ThreadedStore = await openThreadedStore(options, () => nowMs);
  let transactions = 0;
  const { limits, descriptorLimits, pools, counters } = createEmbeddedLimits({
    buckets: createBucketStore({ maxBuckets: 100 }),
    store: createQuotaStore((steps) => {
      transactions++;
      return store.quotas.takeSteps(steps);
    }),
    storeNowMs: () => nowMs,
    faults: () => ({ quotas: "deny" }),
    instanceId,
    maxBuckets: 100_000,
    maxDescriptorBuckets: 10,
  });
  const [pool] = pools;
  return {
    ...{ limits, descriptorLimits, pool, pools, store, counters: counters[0] },
    transactions: () => transactions,
  };
}

const QUOTA: Quota = {
  name: "q",
  per: "key",
  limit: 1000,
  every: "month",
  timeZone: "UTC",
  unit: "requests",
};
const calendars = createCalendars();
const demandsOf = (family: string, quota: Partial<Quota> = {}) =>
  quotaDemands([{ ...QUOTA, ...quota }], { family, role: "r" }, calendars);

async function admitted(limits: LimitStore, family: string, requests: number): Promise<number> {
  const outcomes = await Promise.all(
    Array.from({ length: requests }, () => limits.take([], 1, nowMs, demandsOf(family))),
  );
  return outcomes.filter(({ ok }) => ok).length;
}

test("no number of descriptors fills the bucket of a key", async () => {
  const { limits, descriptorLimits, store } = await startProcess();
  const limit = { name: "n", per: "key", capacity: 1, refillPerSecond: 1e-6, leased: true } as const;
  expect((await limits.take([{ bucketId: "key", limit }], 1, nowMs)).ok).toBe(true);
  for (let value = 0; value < 5000; value++)
    await descriptorLimits.take([{ bucketId: `rls/${value}`, limit }], 1, nowMs);
  expect((await limits.take([{ bucketId: "key", limit }], 1, nowMs)).ok).toBe(false);
  await store.close();
});

test("a month of a descriptor is counted in the database: a restart does not refill it", async () => {
  const first = await startProcess();
  expect(await admitted(first.descriptorLimits, "d", 990)).toBe(990);
  for (const pool of first.pools) await pool.close();
  await first.store.close();
  const second = await startProcess();
  expect(await admitted(second.descriptorLimits, "d", 30)).toBe(10);
  const demand = { buckets: [], quotas: demandsOf("d") };
  expect(await second.descriptorLimits.peek(demand, nowMs)).toMatchObject({ ok: false });
  await second.store.close();
});

test("exactly the limit of parallel requests is admitted, in a few transactions", async () => {
  const { limits, store, transactions } = await startProcess();
  expect(await admitted(limits, "x", 2500)).toBe(1000);
  expect(transactions()).toBeLessThan(30);
  await store.close();
});

test("one sweep forgets all charges that have run out, however many there were, and lets other calls run", async () => {
  const { store } = await startProcess();
  const [{ counterId, quota, calendar } = expect.fail("a demand")] = demandsOf("x");
  const charge = { amount: 1, reserved: 0, issuedMs: nowMs, receivedMs: nowMs, isRefundable: false };
  const step = { limit: quota.limit, windows: calendar(nowMs), settlements: [] };
  for (let first = 0; first < 60; first += 20)
    await store.quotas.takeSteps(
      Array.from({ length: 20 }, (_, at) => ({
        counterId,
        step: { ...step, charge: { ...charge, id: `charge ${first + at}`, keepMs: 60_000 } },
      })),
    );
  nowMs += 60_000;
  const done: string[] = [];
  const sweeping = store.keys.sweep(nowMs / 1000, 10).then(() => done.push("sweep"));
  await store.keys.count(0).then(() => done.push("count"));
  await sweeping;
  expect(done).toEqual(["count", "sweep"]);
  await store.close();
  const file = new DatabaseSync(join(dataDir, "latchkey.db"));
  expect(file.prepare("SELECT count(*) AS charges FROM charges").get()).toEqual({ charges: 0 });
  file.close();
});

test("the first requests of many subjects share transactions", async () => {
  const { limits, store, transactions } = await startProcess();
  const outcomes = await Promise.all(
    Array.from({ length: 900 }, (_, n) => limits.take([], 1, nowMs, demandsOf(`f${n}`))),
  );
  expect(outcomes.every(({ ok }) => ok)).toBe(true);
  expect(transactions()).toBeLessThanOrEqual(3);
  await store.close();
});

test("a process that is killed leaves at most what it had leased, and its successor does not refill the month", async () => {
  const first = await startProcess();
  expect(await admitted(first.limits, "x", 700)).toBe(700);
  // Its leases are not returned.
  await first.store.close();
  const second = await startProcess();
  nowMs += 2000;
  const rest = await admitted(second.limits, "x", 500);
  expect(rest).toBeLessThanOrEqual(300);
  expect(rest).toBeGreaterThanOrEqual(297);
  nowMs = Date.UTC(2026, 11, 1);
  await second.pool.close();
  const third = await startAfter(second.store);
  expect(await admitted(third.limits, "x", 1500)).toBe(1000);
  await third.store.close();
});

test("a clock that is set back to the month before does not refill it", async () => {
  const { limits, store, pool } = await startProcess();
  expect(await admitted(limits, "x", 1000)).toBe(1000);
  await pool.close();
  nowMs = Date.UTC(2026, 9, 20);
  const second = await startAfter(store);
  expect(await admitted(second.limits, "x", 10)).toBe(0);
  await second.store.close();
});

async function startAfter(store: ThreadedStore) {
  await store.close();
  return startProcess();
}

test.each(["leases = '{'", "window_ms = 8796093022208, used = 1000"])(
  "a row damaged by %s is replaced, and the steps of other subjects go on",
  async (damage) => {
    const first = await startProcess();
    await admitted(first.limits, "x", 3);
    await first.pool.close();
    await first.store.close();
    const file = new DatabaseSync(join(dataDir, "latchkey.db"));
    file.exec(`UPDATE quotas SET ${damage}`);
    file.close();
    const second = await startProcess();
    const [x, y] = await Promise.all([admitted(second.limits, "x", 1), admitted(second.limits, "y", 1)]);
    expect([x, y]).toEqual([1, 1]);
    await second.store.close();
  },
);

test("an operator sees every counter, with the limit that its last request had", async () => {
  const { limits, store, pool } = await startProcess();
  const admin = createQuotaAdmin({ quotas: store.quotas, nowMs: () => nowMs, forget: pool.forget });
  await Promise.all(Array.from({ length: 1100 }, (_, n) => admitted(limits, `f${n}`, 1)));
  expect(await admitted(limits, "x", 900)).toBe(900);
  const extra = demandsOf("x", { limit: 2000, extra: { units: 7, atMs: nowMs } });
  await limits.take([], 1, nowMs, extra);
  await pool.close();
  const uses: CounterUse[] = [];
  for await (const portion of admin.uses()) uses.push(...portion);
  expect(new Set(uses.map(({ counterId }) => counterId)).size).toBe(1101);
  expect(uses.find(({ counterId }) => counterId === "quota/key:q:x")).toEqual({
    counterId: "quota/key:q:x",
    windowMs: Date.UTC(2026, 10, 1),
    used: 901,
    leased: 0,
    limit: 2007,
  });
  await store.close();
});

test("an operator sees and resets a counter, and rows are deleted a day after their window", async () => {
  const { limits, store, pool } = await startProcess();
  const admin = createQuotaAdmin({ quotas: store.quotas, nowMs: () => nowMs, forget: pool.forget });
  expect(await admitted(limits, "x", 1200)).toBe(1000);
  const [level] = await admin.levels(demandsOf("x"));
  expect(level).toMatchObject({ limitUnits: 1000, resetsAtMs: Date.UTC(2026, 11, 1) });
  expect((level?.usedUnits ?? 0) + (level?.leasedUnits ?? 0)).toBe(1000);
  await admin.reset(demandsOf("x"));
  expect(await admitted(limits, "x", 5)).toBe(5);
  nowMs = Date.UTC(2026, 11, 2, 1);
  await store.keys.sweep(Math.floor(nowMs / 1000), 100);
  await store.close();
  const file = new DatabaseSync(join(dataDir, "latchkey.db"));
  expect(file.prepare("SELECT count(*) AS rows FROM quotas").get()).toEqual({ rows: 0 });
  file.close();
});
