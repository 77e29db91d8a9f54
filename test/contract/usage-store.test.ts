import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createPoster } from "../../src/core/postings/poster.ts";
import type { PostingStore, SentPosting } from "../../src/core/postings/posting.ts";
import type { UsageStore, UsageSubject } from "../../src/core/usage/ports.ts";
import type { OutcomeCounts, UsageAmount } from "../../src/core/usage/usage-amount.ts";
import { MAX_ROUTES, mergeUsage } from "../../src/core/usage/usage-amount.ts";
import { dayOfHour, hourAt, hourOfDay } from "../../src/core/usage/usage-time.ts";
import type { RedisClient } from "../../src/redis/client.ts";
import { connectRedis } from "../../src/redis/client.ts";
import { spreadOnOneServer } from "../../src/redis/spread-client.ts";
import { createUsageStore } from "../../src/redis/usage-store.ts";
import { openDatabase } from "../../src/sqlite/database.ts";
import { createUsageStore as createEmbeddedUsageStore } from "../../src/sqlite/usage-store.ts";
import { removeAtEnd } from "../support/at-end.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";

const DAY_SECONDS = 86_400;
const RETENTION = { hoursSeconds: 40 * DAY_SECONDS, daysSeconds: 400 * DAY_SECONDS };

let redis: TestedRedis;
let client: RedisClient;

beforeAll(async () => {
  redis = await startRedis();
  // The user of production, with the minimum permissions.
  client = await connectRedis({ url: redis.url, commandTimeoutMs: 1000 });
});
afterAll(async () => {
  await client.close();
  await redis.stop();
});
beforeEach(() => redis.cli("FLUSHALL"));

/** Opens the same data as an instance with this id. */
type Open = (instanceId: string) => UsageStore;

function onRedis(nowMs = Date.now): Open {
  const spread = spreadOnOneServer(client);
  return (instanceId) =>
    createUsageStore({ registry: client, spread, instanceId, retention: RETENTION, nowMs });
}

function embedded(nowMs = Date.now): Open {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-usage-store-"));
  removeAtEnd(folder);
  const database = openDatabase(folder);
  return (instanceId) => createEmbeddedUsageStore(database, { instanceId, retention: RETENTION, nowMs });
}

/** All tests use the hour in which they started, even if the next one begins meanwhile. */
const START_HOUR = hourAt(Date.now());
const now = () => ({ hour: START_HOUR, day: dayOfHour(START_HOUR) });

const NO_REQUESTS: OutcomeCounts = { allowed: 0, denied: 0, limited: 0 };

function amountOf(allowed: number, more: Partial<UsageAmount> = {}): UsageAmount {
  return {
    owner: "acme",
    requests: { ...NO_REQUESTS, allowed },
    cost: allowed,
    units: new Map(),
    routes: new Map(),
    ...more,
  };
}

function postingOf(
  subject: string,
  number: number,
  amount: UsageAmount,
  window = START_HOUR,
  after = 0,
): SentPosting<UsageAmount> {
  return { subject, number, after, window, amount };
}

/** All that the store has counted for a family today and yesterday. */
async function allowedOf(store: UsageStore, family: string): Promise<number> {
  const { day } = now();
  const days = await store.days(family, { from: day - 1, to: day + 1 });
  return days.reduce((sum, { requests }) => sum + requests.allowed, 0);
}

async function subjectsOf(
  store: UsageStore,
  limit: number,
  owner?: string,
): Promise<readonly UsageSubject[]> {
  const found: UsageSubject[] = [];
  for (;;) {
    const after = found.at(-1);
    const page = await store.subjects({
      limit,
      ...(owner !== undefined && { owner }),
      ...(after && { after }),
    });
    found.push(...page);
    if (page.length < limit) return found;
  }
}

describe.each([
  ["Redis", onRedis],
  ["the embedded store", embedded],
])("usage in %s", (_, open) => {
  test("a sum above the largest safe integer stays there, and fails no other posting", async () => {
    const store = open()("one");
    const most = Number.MAX_SAFE_INTEGER;
    const large = () => amountOf(1, { cost: most, units: new Map([["tokens", most]]) });
    for (let number = 1; number <= 6; number += 2)
      expect(
        await store.post([postingOf("large", number, large()), postingOf("other", number + 1, amountOf(1))]),
      ).toEqual(["counted", "counted"]);
    const { hour, day } = now();
    const sums = [
      ...(await store.hours("large", { from: hour, to: hour + 1 })),
      ...(await store.days("large", { from: day, to: day + 1 })),
    ];
    for (const { cost, units } of sums) expect([cost, units.get("tokens")]).toEqual([most, most]);
    expect(sums.length).toBe(2);
    expect(await allowedOf(store, "other")).toBe(3);
  });

  test("sums the postings of an hour and of a day, with units and routes", async () => {
    const store = open()("one");
    const { hour, day } = now();
    const routes = (allowed: number) => new Map([["/chat", { ...NO_REQUESTS, allowed, denied: 1 }]]);
    const units = new Map([["llm_tokens", 400]]);
    const requests = { allowed: 3, denied: 1, limited: 2 };
    await store.post([
      postingOf("f1", 1, amountOf(3, { requests, cost: 9, units, routes: routes(3) }), hour),
    ]);
    await store.post([postingOf("f1", 2, amountOf(4, { units, routes: routes(4) }), hour)]);
    await store.post([postingOf("f1", 3, amountOf(1), hour - 1)]);
    const sum = {
      requests: { allowed: 7, denied: 1, limited: 2 },
      cost: 13,
      units: new Map([["llm_tokens", 800]]),
    };
    expect(await store.hours("f1", { from: hour - 2, to: hour + 1 })).toEqual([
      {
        at: hour - 1,
        requests: { ...NO_REQUESTS, allowed: 1 },
        cost: 1,
        units: new Map(),
        routes: new Map(),
      },
      { at: hour, ...sum, routes: new Map() },
    ]);
    const days = await store.days("f1", { from: day - 1, to: day + 1 });
    expect(days.flatMap((found) => [...found.routes])).toEqual([
      ["/chat", { ...NO_REQUESTS, allowed: 7, denied: 2 }],
    ]);
    expect(await allowedOf(store, "f1")).toBe(8);
  });

  test("a span includes its first hour and excludes its last one", async () => {
    const store = open()("one");
    const { hour } = now();
    await store.post([postingOf("f1", 1, amountOf(1), hour - 1)]);
    await store.post([postingOf("f1", 2, amountOf(2), hour)]);
    const at = async (from: number, to: number) =>
      (await store.hours("f1", { from, to })).map((found) => found.at);
    expect(await at(hour - 1, hour)).toEqual([hour - 1]);
    expect(await at(hour, hour + 1)).toEqual([hour]);
    expect(await at(hour + 1, hour + 30)).toEqual([]);
  });

  test("a repeated posting counts once, also after a newer one, and per instance", async () => {
    const opened = open();
    const [one, other] = [opened("one"), opened("other")];
    const [first, second] = [postingOf("f1", 1, amountOf(5)), postingOf("f1", 2, amountOf(7))];
    for (const posting of [first, first, second, first, second])
      expect(await one.post([posting])).toEqual(["counted"]);
    expect(await allowedOf(one, "f1")).toBe(12);
    await other.post([first]);
    expect(await allowedOf(one, "f1")).toBe(17);
  });

  test("a posting that requires a lost one is not counted, and the poster sends both", async () => {
    const store = open()("one");
    expect(await store.post([postingOf("f1", 3, amountOf(5), now().hour, 2)])).toEqual(["behind"]);
    expect(await allowedOf(store, "f1")).toBe(0);
    expect(await store.post([postingOf("f1", 2, amountOf(4))])).toEqual(["counted"]);
    expect(await store.post([postingOf("f1", 3, amountOf(5), now().hour, 2)])).toEqual(["counted"]);
    expect(await allowedOf(store, "f1")).toBe(9);
  });

  test("an hour stays open for a day after its end; an hour of a wrong clock is void", async () => {
    const store = open()("one");
    const { hour } = now();
    const outcomes = await store.post([
      postingOf("f1", 1, amountOf(1), hour - 26),
      postingOf("f2", 1, amountOf(1), hour - 23),
      postingOf("f3", 1, amountOf(1), hour + 3),
    ]);
    expect(outcomes).toEqual(["void", "counted", "void"]);
    expect(await store.hours("f1", { from: hour - 30, to: hour + 9 })).toEqual([]);
  });

  test("a day has at most 20 routes; further ones are counted together", async () => {
    const store = open()("one");
    const labels = Array.from({ length: MAX_ROUTES + 5 }, (_, index) => `/route/${index}`);
    const { hour, day } = now();
    for (const [index, label] of labels.entries()) {
      const routes = new Map([[label, { ...NO_REQUESTS, allowed: 2 }]]);
      await store.post([postingOf("f1", index + 1, amountOf(2, { routes }), hour)]);
    }
    const known = new Map([["/route/0", { ...NO_REQUESTS, allowed: 1 }]]);
    await store.post([postingOf("f1", 99, amountOf(1, { routes: known }), hour)]);
    const [found] = await store.days("f1", { from: day, to: day + 1 });
    expect(found?.routes.size).toBe(MAX_ROUTES + 1);
    expect(found?.routes.get("other")?.allowed).toBe(10);
    expect(found?.routes.get("/route/0")?.allowed).toBe(3);
  });

  test("names that could mean something to the store are only names", async () => {
    const store = open()("one");
    const { day } = now();
    const hostile = [
      "a:b",
      "a b",
      "n",
      "t",
      "*",
      "{a}",
      "}{",
      "__proto__",
      "'; DROP TABLE usage_days; --",
      "é\n",
      "%7b",
    ];
    const routes = new Map(hostile.map((label) => [label, { ...NO_REQUESTS, allowed: 1 }]));
    const units = new Map([
      ["t", 1],
      ["12", 2],
    ]);
    for (const [index, family] of hostile.entries())
      await store.post([postingOf(family, index + 1, amountOf(1, { owner: family, routes, units }))]);
    for (const family of hostile) {
      const [found] = await store.days(family, { from: day, to: day + 1 });
      expect(found).toMatchObject({ requests: { allowed: 1 }, routes, units });
      expect(await store.ownerOf(family)).toBe(family);
      expect(await subjectsOf(store, 1, family)).toEqual([{ owner: family, family }]);
    }
  });

  test("lists each family once, by owner and name, in pages of any size", async () => {
    const store = open()("one");
    const expected = ["a", "acme", "acme-2", "b", "é"].flatMap((owner) =>
      ["f1", "f10", "f2"].map((name) => ({ owner, family: `${owner}/${name}` })),
    );
    for (const [index, { owner, family }] of [...expected].reverse().entries())
      await store.post([postingOf(family, index + 1, amountOf(1, { owner }))]);
    await open()("other").post([postingOf("a/f1", 1, amountOf(1, { owner: "a" }))]);
    for (const limit of [1, 2, 100]) expect(await subjectsOf(store, limit)).toEqual(expected);
    expect(await subjectsOf(store, 2, "acme")).toEqual(expected.filter(({ owner }) => owner === "acme"));
    expect(await subjectsOf(store, 2, "nobody")).toEqual([]);
  });

  test("a family that changes its owner is listed under the new one", async () => {
    const store = open()("one");
    await store.post([postingOf("f1", 1, amountOf(1, { owner: "old" }))]);
    await store.post([postingOf("f1", 2, amountOf(1, { owner: "new" }))]);
    expect(await subjectsOf(store, 10)).toEqual([{ owner: "new", family: "f1" }]);
    expect(await store.ownerOf("f1")).toBe("new");
    expect(await store.ownerOf("f2")).toBeUndefined();
  });

  test("four instances whose replies are lost at random count everything once", async () => {
    const opened = open();
    let lost = 0;
    const losing = (store: UsageStore): PostingStore<UsageAmount> => ({
      async post(postings) {
        const outcomes = await store.post(postings);
        if (++lost % 3 === 0) throw new Error("the reply is lost");
        return outcomes;
      },
    });
    const posters = ["1", "2", "3", "4"].map((id) =>
      createPoster({
        store: losing(opened(id)),
        merge: mergeUsage,
        monotonicMs: () => 0,
        scopeOf: dayOfHour,
        batchSize: 4,
      }),
    );
    for (let round = 0; round < 20; round++) {
      for (const poster of posters)
        for (let family = 0; family < 10; family++) poster.add(`f${family}`, now().hour, amountOf(1));
      await Promise.allSettled(posters.map((poster) => poster.post()));
    }
    while (posters.some((poster) => poster.waiting() > 0))
      await Promise.allSettled(posters.map((poster) => poster.post()));
    const store = opened("reader");
    for (let family = 0; family < 10; family++) expect(await allowedOf(store, `f${family}`)).toBe(80);
  });

  test("usage goes on after midnight, and for each of several open days", async () => {
    const store = open()("one");
    const poster = createPoster({
      store,
      merge: mergeUsage,
      monotonicMs: () => 0,
      scopeOf: dayOfHour,
      keepMs: 60_000,
    });
    // Both hours are open until an hour after the test has begun, at least.
    const midnight = START_HOUR + 1 - hourOfDay(START_HOUR + 1);
    const day = dayOfHour(midnight);
    const countIn = async (hours: readonly number[]) => {
      for (const hour of hours) poster.add("f1", hour, amountOf(1));
      await poster.post();
      expect(poster.waiting()).toBe(0);
    };
    await countIn([midnight - 1]);
    await countIn([midnight]);
    await countIn([midnight - 1, midnight]);
    await countIn([midnight]);
    const days = await store.days("f1", { from: day - 1, to: day + 1 });
    expect(days.map(({ requests }) => requests.allowed)).toEqual([2, 3]);
  });

  test("the bytes grow with new hours, and hardly with the same ones", async () => {
    const store = open()("one");
    const { hour } = now();
    expect(await store.bytes()).toBe(0);
    await store.post([postingOf("f1", 1, amountOf(1), hour)]);
    const first = await store.bytes();
    await store.post([postingOf("f1", 2, amountOf(1), hour)]);
    expect((await store.bytes()) - first).toBeLessThan(5);
    await store.post([postingOf("f1", 3, amountOf(1), hour - 1)]);
    expect(await store.bytes()).toBeGreaterThan(first + 5);
  });
});

test("Redis removes hours after 40 days and days after 400", async () => {
  const store = onRedis()("one");
  const { hour, day } = now();
  await store.post([postingOf("f1", 1, amountOf(1), hour)]);
  const left = async (name: string) => Number(await redis.cli("PTTL", name)) / 1000;
  const untilDayEnds = (day + 1) * DAY_SECONDS - Date.now() / 1000;
  expect(await left(`latchkey:usage:hours:${day}:f1`)).toBeCloseTo(untilDayEnds + RETENTION.hoursSeconds, -2);
  expect(await left(`latchkey:usage:day:${day}:f1`)).toBeCloseTo(untilDayEnds + RETENTION.daysSeconds, -2);
  // At least as long as the hour accepts postings.
  const open = (24 - hourOfDay(hour)) * 3600;
  expect(await left(`latchkey:usage:posted:${day}:f1`)).toBeGreaterThan(open);
});

describe.each([
  ["Redis", onRedis],
  ["the embedded store", embedded],
])("the retention in %s", (_, open) => {
  test("families and bytes are forgotten when their days are", async () => {
    const clock = { ms: Date.now() };
    const store = open(() => clock.ms)("one");
    for (let family = 0; family < 60; family++)
      await store.post([postingOf(`f${family}`, 1, amountOf(1), now().hour)]);
    const all = await store.bytes();
    const sweepAt = async (days: number) => {
      clock.ms = Date.now() + days * DAY_SECONDS * 1000;
      for (let turn = 0; turn < 3; turn++) await store.sweep(clock.ms);
      return { families: (await subjectsOf(store, 100)).length, bytes: await store.bytes() };
    };
    expect(await sweepAt(39)).toEqual({ families: 60, bytes: all });
    const days = await sweepAt(42);
    expect(days.families).toBe(60);
    expect(days.bytes).toBeLessThan(all);
    expect(days.bytes).toBeGreaterThan(0);
    expect(await sweepAt(402)).toEqual({ families: 0, bytes: 0 });
  });
});

test("the embedded store deletes hours and days after their retention", async () => {
  const clock = { ms: Date.now() };
  const store = embedded(() => clock.ms)("one");
  const { hour, day } = now();
  await store.post([postingOf("f1", 1, amountOf(1), hour)]);
  clock.ms += 42 * DAY_SECONDS * 1000;
  await store.sweep(clock.ms);
  expect(await store.hours("f1", { from: hour, to: hour + 1 })).toEqual([]);
  expect(await store.days("f1", { from: day, to: day + 1 })).toHaveLength(1);
  clock.ms += 360 * DAY_SECONDS * 1000;
  await store.sweep(clock.ms);
  expect(await store.days("f1", { from: day, to: day + 1 })).toEqual([]);
});

test("one sweep of the embedded store deletes everything of a day, before its bytes count no more", async () => {
  const clock = { ms: Date.now() };
  const store = embedded(() => clock.ms)("one");
  const families = Array.from({ length: 1100 }, (_, at) => `f${String(at).padStart(4, "0")}`);
  await store.post(families.map((family, at) => postingOf(family, at + 1, amountOf(1))));
  clock.ms += 402 * DAY_SECONDS * 1000;
  await store.sweep(clock.ms);
  expect(await subjectsOf(store, 100)).toEqual([]);
  const { day } = now();
  for (const family of families) expect(await store.days(family, { from: day, to: day + 1 })).toEqual([]);
  expect(await store.bytes()).toBe(0);
});

test("the estimated bytes are within a third of what Redis uses", async () => {
  const store = onRedis()("one");
  const { hour, day } = now();
  const families = Array.from(
    { length: 50 },
    (_, index) => `basic_1767225600_${String(index).padStart(12, "x")}`,
  );
  const dayStart = hour - hourOfDay(hour);
  let number = 0;
  for (let at = Math.max(dayStart, hour - 20); at <= hour; at++)
    for (const family of families) {
      const routes = new Map(
        ["/v1/chat", "/v1/models", "/v1/data"].map((label) => [label, { ...NO_REQUESTS, allowed: 120 }]),
      );
      await store.post([postingOf(family, ++number, amountOf(360, { routes }), at)]);
    }
  const names = families.flatMap((family) =>
    ["hours", "day"].map((kind) => `latchkey:usage:${kind}:${day}:${family}`),
  );
  let used = 0;
  for (const name of names) used += Number(await redis.cli("MEMORY", "USAGE", name));
  const estimated = await store.bytes();
  console.log(estimated / used, used / 50);
  expect(estimated / used).toBeGreaterThan(0.67);
  expect(estimated / used).toBeLessThan(1.5);
});
