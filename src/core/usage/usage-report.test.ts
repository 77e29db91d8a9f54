import { describe, expect, test } from "vitest";
import type { UsagePage, UsageRecord, UsageSpan, UsageSubject } from "./ports.ts";
import { MAX_ROUTES, noUsage } from "./usage-amount.ts";
import type { UsagePeriod, UsageRange } from "./usage-report.ts";
import { familyRows, readUsage, reportSpan } from "./usage-report.ts";

const DAY = 86_400;
const RETENTION = { hoursSeconds: 40 * DAY, daysSeconds: 400 * DAY };
const NOW = Date.parse("2027-03-10T12:30:00Z") / 1000;
const at = (text: string) => Date.parse(text) / 1000;

function spanOf(by: UsagePeriod, range: UsageRange = {}) {
  const span = reportSpan(by, range, RETENTION, NOW);
  if ("problem" in span) return span;
  const time = (periods: number) => new Date(periods * span.unitSeconds * 1000).toISOString().slice(0, 16);
  return [time(span.from), time(span.to)];
}

describe("the range of a report", () => {
  test("is by default the last 24 hours or 30 days, with the present one", () => {
    expect(spanOf("hour")).toEqual(["2027-03-09T13:00", "2027-03-10T13:00"]);
    expect(spanOf("day")).toEqual(["2027-02-09T00:00", "2027-03-11T00:00"]);
    expect(spanOf("route")).toEqual(["2027-02-09T00:00", "2027-03-11T00:00"]);
  });

  test("has the present hour from its first second on", () => {
    const onTheHour = reportSpan("hour", {}, RETENTION, at("2027-03-10T12:00:00Z"));
    expect(onTheHour).toMatchObject({ to: at("2027-03-10T13:00:00Z") / 3600 });
  });

  test("has every hour or day that it touches, and none that begins at its end", () => {
    const january = { from: at("2027-01-01"), to: at("2027-02-01") };
    expect(spanOf("day", january)).toEqual(["2027-01-01T00:00", "2027-02-01T00:00"]);
    const touching = { from: at("2027-03-01T10:59:59Z"), to: at("2027-03-01T12:00:01Z") };
    expect(spanOf("hour", touching)).toEqual(["2027-03-01T10:00", "2027-03-01T13:00"]);
    expect(spanOf("day", touching)).toEqual(["2027-03-01T00:00", "2027-03-02T00:00"]);
  });

  test("may be as long as the retention, and not longer", () => {
    const back = (days: number) => ({ from: NOW - days * DAY });
    expect(spanOf("hour", back(40))).toHaveLength(2);
    expect(spanOf("day", back(400))).toHaveLength(2);
    expect(spanOf("hour", back(41))).toMatchObject({ field: "from" });
    expect(spanOf("day", back(3653))).toEqual({
      field: "from",
      problem: "the range has 3654 days: the largest range by day has 401 days",
    });
  });

  test("must not end before it begins", () => {
    for (const to of [at("2027-01-01"), at("2026-12-31")])
      expect(spanOf("day", { from: at("2027-01-01"), to })).toEqual({
        field: "from",
        problem: "must be before to",
      });
    expect(spanOf("day", { from: NOW + 2 })).toMatchObject({ problem: "must be before the present time" });
    expect(spanOf("day", { to: at("1990-01-01") })).toEqual(["1989-12-02T00:00", "1990-01-01T00:00"]);
  });
});

describe("the rows of a family", () => {
  const subject = { owner: "acme", family: "f" };
  const counts = (allowed: number, denied = 0) => ({ allowed, denied, limited: 0 });
  const store = {
    hours: async (): Promise<readonly UsageRecord[]> => [{ ...noUsage(), at: 49, cost: 7 }],
    days: async (): Promise<readonly UsageRecord[]> => [
      {
        ...noUsage(),
        ...{ at: 2, cost: 5, requests: counts(5, 1), units: new Map([["tokens", 3]]) },
        routes: new Map([
          ["/b", counts(1, 1)],
          ["/a", counts(4)],
        ]),
      },
      {
        ...noUsage(),
        at: 3,
        requests: counts(2),
        routes: new Map([
          ["/b", counts(2)],
          ["/c", counts(7)],
        ]),
      },
    ],
  };
  const rows = (by: UsagePeriod, unitSeconds: number) =>
    familyRows(store, subject, { by, from: 0, to: 9, unitSeconds });

  test("are its hours or its days, by their start", async () => {
    expect(await rows("hour", 3600)).toEqual([
      { ...subject, startsAt: 49 * 3600, requests: counts(0), cost: 7, units: new Map() },
    ]);
    expect(await rows("day", DAY)).toEqual([
      { ...subject, startsAt: 2 * DAY, requests: counts(5, 1), cost: 5, units: new Map([["tokens", 3]]) },
      { ...subject, startsAt: 3 * DAY, requests: counts(2), cost: 0, units: new Map() },
    ]);
  });

  test("are the sums of its routes over all days, by their labels", async () => {
    expect(await rows("route", DAY)).toEqual([
      { ...subject, route: "/a", requests: counts(4) },
      { ...subject, route: "/b", requests: counts(3, 1) },
      { ...subject, route: "/c", requests: counts(7) },
    ]);
  });
});

/** A store of a thousand families with one request per period, which counts the periods that it reads. */
function storeWith(families: number) {
  const subjects = Array.from({ length: families }, (_, index) => ({
    owner: "o",
    family: `f${String(index).padStart(4, "0")}`,
  }));
  let read = 0;
  const asked: UsagePage[] = [];
  const records = async (_: string, { from, to }: UsageSpan): Promise<readonly UsageRecord[]> => {
    read += to - from;
    return [{ at: from, ...noUsage() }];
  };
  return {
    async subjects({ owner, after, limit }: UsagePage) {
      asked.push({ limit, ...(owner !== undefined && { owner }) });
      return subjects.filter(({ family }) => after === undefined || family > after.family).slice(0, limit);
    },
    hours: records,
    days: records,
    ownerOf: async (family: string) => (subjects.some((one) => one.family === family) ? "o" : undefined),
    asked,
    periodsRead: () => read,
  };
}

test("a page reads at most 4000 hours or days, and pages have every family once", async () => {
  for (const [by, from, to] of [
    ["hour", 0, 961],
    ["day", 0, 401],
    ["day", 0, 1],
  ] as const) {
    const store = storeWith(50);
    const found: string[] = [];
    let after: UsageSubject | undefined;
    do {
      const before = store.periodsRead();
      const page = { limit: 500, ...(after && { after }) };
      const { rows, next } = await readUsage(store, {}, { by, from, to, unitSeconds: 3600 }, page);
      expect(store.periodsRead() - before).toBeLessThanOrEqual(4000);
      found.push(...rows.map(({ family }) => family));
      after = next;
    } while (after !== undefined);
    expect(found).toEqual([...new Set(found)]);
    expect(found).toHaveLength(50);
  }
});

describe("a report", () => {
  const span = { by: "day", from: 5, to: 6, unitSeconds: DAY } as const;

  test("of one family has its owner, or the family itself if the store does not know it, in one page", async () => {
    const store = storeWith(2);
    for (const [family, owner] of [
      ["f0001", "o"],
      ["unknown", "unknown"],
    ] as const)
      expect(await readUsage(store, { family }, span, { limit: 1 })).toMatchObject({
        rows: [{ family, owner }],
      });
    expect(store.asked).toEqual([]);
  });

  test("of one owner reads only this owner's families", async () => {
    const store = storeWith(2);
    await readUsage(store, { owner: "o" }, span, { limit: 5 });
    await readUsage(store, {}, span, { limit: 5 });
    expect(store.asked).toStrictEqual([{ limit: 5, owner: "o" }, { limit: 5 }]);
  });

  test("has a next page only if its own one is full", async () => {
    const store = storeWith(2);
    expect(await readUsage(store, {}, span, { limit: 3 })).not.toHaveProperty("next");
    expect(await readUsage(store, {}, span, { limit: 2 })).toMatchObject({ next: { family: "f0001" } });
    expect(await readUsage(storeWith(0), {}, span, { limit: 2 })).toStrictEqual({ rows: [] });
  });

  test.each([
    ["hours of a long range", { ...span, from: 100_000, to: 100_500 }, 8],
    ["days", { ...span, from: 20_000, to: 20_001 }, 500],
    [
      "routes, of which a family may have many",
      { ...span, by: "route" },
      Math.floor(4000 / (MAX_ROUTES + 1)),
    ],
    ["a range longer than a page", { ...span, from: 0, to: 5000 }, 1],
  ] as const)("has a bounded page of %s", async (_, range, families) => {
    const store = storeWith(1);
    await readUsage(store, {}, range, { limit: 500 });
    expect(store.asked).toEqual([{ limit: families }]);
  });
});
