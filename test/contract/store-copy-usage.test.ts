import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { QuotaRow, UsageRow } from "../../src/core/copy/ports.ts";
import type { QuotaStep } from "../../src/core/quotas/quota-step.ts";
import type { UsageAmount } from "../../src/core/usage/usage-amount.ts";
import { dayOfHour, hourAt } from "../../src/core/usage/usage-time.ts";
import type { RedisClient } from "../../src/redis/client.ts";
import { connectRedis } from "../../src/redis/client.ts";
import type { ClusterSetup } from "../support/cluster.ts";
import { startCluster } from "../support/cluster.ts";
import type { CopySide, UsedStore } from "../support/copied-stores.ts";
import {
  compareBetween,
  copyBetween,
  differences,
  newFolder,
  redisSide,
  sqliteSide,
} from "../support/copied-stores.ts";
import { runHere } from "../support/program.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";
import { clusterUser } from "../support/redis-user.ts";
import type { TestedSpread } from "../support/topology.ts";
import { openTestedSpread } from "../support/topology.ts";

/** All tests use the hour in which they started, even if the next one begins meanwhile. */
const HOUR = hourAt(Date.now());
const HOUR_MS = 3_600_000;
const DAYS = { from: dayOfHour(HOUR) - 1, to: dayOfHour(HOUR) + 1 };
const HOURS = { from: DAYS.from * 24, to: DAYS.to * 24 };
/** Subjects that look like parts of the names of Redis keys. */
const ODD = ["fam_1", "{fam}:day:7", "100%25:%7b}", ":", "o\nwner"];

let redis: TestedRedis;
let cluster: ClusterSetup;
let clients: readonly RedisClient[];
let spread: TestedSpread;

beforeAll(async () => {
  [redis, cluster] = await Promise.all([startRedis(), startCluster()]);
  const options = [redis, cluster].map(({ url }) => ({ url, commandTimeoutMs: 5000 }));
  clients = await Promise.all(options.map(connectRedis));
  spread = await openTestedSpread({ url: cluster.url, commandTimeoutMs: 5000 });
});

afterAll(async () => {
  await spread?.close();
  for (const client of clients ?? []) await client.close();
  await redis?.stop();
  await cluster?.stop();
});

type SideName = "Redis" | "a Cluster" | "an embedded store";

/** An empty store. */
async function newSide(name: SideName): Promise<CopySide> {
  const [client, ofCluster] = clients;
  if (client === undefined || ofCluster === undefined) throw new Error("no client");
  if (name === "an embedded store") return sqliteSide();
  if (name === "Redis") {
    await redis.cli("FLUSHALL");
    return redisSide(client);
  }
  for (const primary of await cluster.primaries()) await primary.cli("FLUSHALL");
  return redisSide(ofCluster, spread);
}

let numbers = 0;

/** Counts usage as an instance does. */
async function post({ usage }: UsedStore, family: string, window: number, amount: Partial<UsageAmount>) {
  const whole: UsageAmount = {
    owner: family,
    requests: { allowed: 0, denied: 0, limited: 0 },
    cost: 0,
    units: new Map(),
    routes: new Map(),
    ...amount,
  };
  const posting = { subject: family, number: ++numbers, after: 0, window, amount: whole };
  expect(await usage.post([posting])).toEqual(["counted"]);
}

const allowed = (count: number) => ({
  requests: { allowed: count, denied: 0, limited: 0 },
  cost: count,
  routes: new Map([["r", { allowed: count, denied: 0, limited: 0 }]]),
});

let leases = 0;

/** Takes units as an instance does, and settles the lease unless it stays open. */
async function take({ quotas }: UsedStore, counterId: string, units: number, isOpen = false): Promise<void> {
  const windows = { startMs: HOUR * HOUR_MS, endMs: (HOUR + 24) * HOUR_MS, nextEndMs: (HOUR + 48) * HOUR_MS };
  const leaseId = `lease${leases++}`;
  const step: QuotaStep = { limit: 1e6, windows, settlements: [] };
  const request = { leaseId, cost: units, waiting: units, ahead: 0, held: 0 };
  expect(await quotas.step(counterId, { ...step, request })).toMatchObject({ grantedUnits: units });
  if (isOpen) return;
  await quotas.step(counterId, { ...step, settlements: [{ leaseId, unspentTokens: 0 }] });
}

const MONTHLY = "quota/key:monthly:fam_1";

async function fill(side: CopySide): Promise<void> {
  await side.use(async (store) => {
    for (const [at, subject] of ODD.entries()) {
      await post(store, subject, HOUR, {
        ...allowed(at + 1),
        owner: "acme",
        units: new Map([["tokens", 2 ** 40]]),
      });
      await post(store, subject, HOUR - 20, { ...allowed(7), owner: "acme" });
      await take(store, `quota/shadow/owner:daily:${subject}`, at + 1);
    }
    await take(store, MONTHLY, 5);
    await take(store, MONTHLY, 3, true);
  });
}

async function observe(side: CopySide) {
  return side.use(async ({ usage }) => {
    const subjects = await usage.subjects({ limit: 100 });
    const families = await Promise.all(
      subjects.map(async (subject) => [
        subject,
        await usage.days(subject.family, DAYS),
        await usage.hours(subject.family, HOURS),
        await usage.ownerOf(subject.family),
      ]),
    );
    return { families, hasBytes: (await usage.bytes()) > 100 * subjects.length };
  });
}

async function collect<Row>(pages: AsyncIterable<readonly Row[]>): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for await (const page of pages) rows.push(...page);
  return rows;
}

const quotasOf = (side: CopySide): Promise<readonly QuotaRow[]> =>
  side.copy(async (store) =>
    (await collect(store.rows.quotas.pages())).toSorted((one, other) =>
      one.counterId < other.counterId ? -1 : 1,
    ),
  );

const usedOf = async (side: CopySide, counterId: string) =>
  (await quotasOf(side)).find((row) => row.counterId === counterId)?.used;

const DIRECTIONS = [
  ["an embedded store", "Redis"],
  ["Redis", "a Cluster"],
  ["a Cluster", "an embedded store"],
  ["a Cluster", "Redis"],
  ["an embedded store", "a Cluster"],
  ["Redis", "an embedded store"],
] as const;

describe.each(DIRECTIONS)("from %s to %s", (source, target) => {
  test("counters of quotas and usage are copied once, and a second copy writes nothing", async () => {
    const [from, to] = [await newSide(source), await newSide(target)];
    await fill(from);
    const copied = await copyBetween(from, to);
    const written = copied.filter(({ name }) => /quotas|usage/.test(name)).map((kind) => kind.written);
    const days = dayOfHour(HOUR - 20) === dayOfHour(HOUR) ? 1 : 2;
    expect(written).toEqual([ODD.length + 1, ODD.length * days]);
    expect(differences(await compareBetween(from, to))).toEqual([]);
    expect(await observe(to)).toEqual({ ...(await observe(from)), hasBytes: true });
    expect(await quotasOf(to)).toEqual(await quotasOf(from));
    expect((await quotasOf(to)).map(({ counterId }) => counterId)).toEqual(
      [MONTHLY, ...ODD.map((subject) => `quota/shadow/owner:daily:${subject}`)].toSorted(),
    );
    expect(await usedOf(to, MONTHLY)).toBe(8);
    const again = await copyBetween(from, to);
    expect(again.filter((kind) => kind.written > 0)).toEqual([]);
  });

  test("both sides count on: nothing is lowered, and nothing is counted twice", async () => {
    const [from, to] = [await newSide(source), await newSide(target)];
    await fill(from);
    await copyBetween(from, to);
    await from.use((store) => post(store, "fam_1", HOUR, allowed(10)));
    await to.use((store) => post(store, "fam_1", HOUR - 1, allowed(4)));
    await from.use((store) => take(store, MONTHLY, 10));
    await to.use((store) => take(store, MONTHLY, 1, true));
    for (const [one, other] of [
      [from, to],
      [from, to],
      [to, from],
    ] as const)
      await copyBetween(one, other);
    expect(differences(await compareBetween(from, to))).toEqual([]);
    for (const side of [from, to]) {
      const allowedIn = await side.use(async ({ usage }) =>
        Promise.all(
          [usage.hours("fam_1", HOURS), usage.days("fam_1", DAYS)].map(async (records) =>
            (await records).reduce((sum, { requests }) => sum + requests.allowed, 0),
          ),
        ),
      );
      // 1 and 7 at first, then 10 on one side and 4 on the other one.
      expect(allowedIn).toEqual([22, 22]);
      expect(await usedOf(side, MONTHLY)).toBe(18);
    }
  });

  test("a damaged counter of the target is replaced", async () => {
    const [from, to] = [await newSide(source), await newSide(target)];
    const row = { counterId: MONTHLY, windowMs: HOUR * HOUR_MS, used: 9, limit: 10 };
    await from.copy((store) => store.rows.quotas.put([{ row, replaced: undefined }]));
    const damaged = { ...row, windowMs: 2 ** 43, used: 1 };
    await to.copy((store) => store.rows.quotas.put([{ row: damaged, replaced: undefined }]));
    await copyBetween(from, to);
    expect(await quotasOf(to)).toEqual([row]);
  });

  test("a copied counter is near its limit as before, and keeps a limit of its own", async () => {
    const [from, to] = [await newSide(source), await newSide(target)];
    const put = (side: CopySide, row: QuotaRow) =>
      side.copy((store) => store.rows.quotas.put([{ row, replaced: undefined }]));
    const row = { counterId: MONTHLY, windowMs: HOUR * HOUR_MS, used: 9, limit: 10 };
    await put(from, row);
    await put(to, { ...row, used: 1, limit: 0 });
    await copyBetween(from, to);
    expect(await quotasOf(to)).toEqual([row]);
    await put(to, { ...row, used: 8, limit: 20 });
    expect(await quotasOf(to)).toEqual([row]);
  });

  test("a later window wins, and an earlier one changes nothing", async () => {
    const [from, to] = [await newSide(source), await newSide(target)];
    const put = (side: CopySide, row: QuotaRow) =>
      side.copy((store) => store.rows.quotas.put([{ row, replaced: undefined }]));
    const row = { counterId: MONTHLY, windowMs: (HOUR - 24) * HOUR_MS, used: 900, limit: 1000 };
    const later = { ...row, windowMs: HOUR * HOUR_MS, used: 2, limit: 100 };
    await put(from, row);
    await put(to, later);
    await copyBetween(from, to);
    await put(to, row);
    expect(await quotasOf(to)).toEqual([later]);
    await copyBetween(to, from);
    expect(await quotasOf(from)).toEqual([later]);
    // The open leases of the earlier window end with it.
    await to.use((store) => take(store, MONTHLY, 3, true));
    const next = { ...row, windowMs: (HOUR + 24) * HOUR_MS, used: 1 };
    await put(from, next);
    await copyBetween(from, to);
    expect(await quotasOf(to)).toEqual([next]);
  });
});

test("what an instance counts during a copy is not lost", async () => {
  for (const name of ["Redis", "a Cluster"] as const) {
    const side = await newSide(name);
    await fill(side);
    const before = await side.copy((store) => collect<UsageRow>(store.rows.usage.pages()));
    const counters = await quotasOf(side);
    await side.use((store) => post(store, "fam_1", HOUR, allowed(10)));
    await side.use((store) => take(store, MONTHLY, 10));
    const [now, nowQuotas] = [await observe(side), await quotasOf(side)];
    await side.copy(async ({ rows }) => {
      await rows.usage.put(before.map((row) => ({ row, replaced: row })));
      await rows.quotas.put(counters.map((row) => ({ row, replaced: row })));
    });
    expect(await observe(side)).toEqual(now);
    expect(await quotasOf(side)).toEqual(nowQuotas);
  }
});

test("families beyond a page are copied completely", async () => {
  const [from, to, back] = [sqliteSide(), await newSide("a Cluster"), sqliteSide()];
  const count = 1203;
  await from.use(async (store) => {
    for (let at = 0; at < count; at++) await post(store, `fam_${at}`, HOUR, allowed(1));
    for (let at = 0; at < count; at++) await take(store, `quota/key:monthly:${at}`, 1);
  });
  await copyBetween(from, to);
  await copyBetween(to, back);
  expect(differences(await compareBetween(from, back))).toEqual([]);
  const names = (await compareBetween(from, back)).filter(({ target }) => target.rows === count);
  expect(names).toHaveLength(2);
});

test("the command copies to a Cluster, and from one with a user who may only read", async () => {
  const [from, to, folder] = [await newSide("Redis"), await newSide("a Cluster"), newFolder()];
  await fill(from);
  await redis.cli("SET", "latchkey:epoch", "e 1");
  expect(await runHere(["store", "copy", redis.url, cluster.url])).toMatchObject({ status: 0 });
  expect(differences(await compareBetween(from, to))).toEqual([]);
  const [, ...rules] = clusterUser("pw");
  const writes = ["set", "hset", "del", "zadd", "incr", "xadd", "pexpire"].map((command) => `-${command}`);
  for (const node of await cluster.primaries())
    await node.cli("ACL", "SETUSER", "reader", "reset", ...rules, ...writes);
  const reader = cluster.url.replace(/\/\/.*@/, "//reader:pw@");
  expect(await runHere(["store", "copy", reader, folder])).toMatchObject({ status: 0, stderr: "" });
  expect(await quotasOf(sqliteSide(folder))).toEqual(await quotasOf(from));
  expect(await runHere(["store", "copy", folder, reader])).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/the target \(--to\): .*\.acl/),
  });
});
