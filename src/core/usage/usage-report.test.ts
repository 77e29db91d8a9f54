import { describe, expect, test } from "vitest";
import type { UsageRecord, UsageSpan, UsageSubject } from "./ports.ts";
import { noUsage } from "./usage-amount.ts";
import type { UsagePeriod, UsageRange } from "./usage-report.ts";
import { readUsage, reportSpan } from "./usage-report.ts";

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
      expect(spanOf("day", { from: at("2027-01-01"), to })).toMatchObject({ problem: "must be before to" });
    expect(spanOf("day", { from: NOW + 2 })).toMatchObject({ problem: "must be before the present time" });
    expect(spanOf("day", { to: at("1990-01-01") })).toEqual(["1989-12-02T00:00", "1990-01-01T00:00"]);
  });
});

/** A store of a thousand families with one request per period, which counts the periods that it reads. */
function storeWith(families: number) {
  const subjects = Array.from({ length: families }, (_, index) => ({
    owner: "o",
    family: `f${String(index).padStart(4, "0")}`,
  }));
  let read = 0;
  const records = async (_: string, { from, to }: UsageSpan): Promise<readonly UsageRecord[]> => {
    read += to - from;
    return [{ at: from, ...noUsage() }];
  };
  return {
    subjects: async ({ after, limit }: { readonly after?: UsageSubject; readonly limit: number }) =>
      subjects.filter(({ family }) => after === undefined || family > after.family).slice(0, limit),
    hours: records,
    days: records,
    ownerOf: async () => "o",
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
