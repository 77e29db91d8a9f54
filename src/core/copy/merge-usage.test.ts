import fc from "fast-check";
import { expect, test } from "vitest";
import type { UsageRecord } from "../usage/ports.ts";
import { noUsage, USAGE_OUTCOMES } from "../usage/usage-amount.ts";
import { mergeUsageRow } from "./merge-usage.ts";
import type { UsageRow } from "./ports.ts";

const DAY = 20_000;
const count = fc.nat(9);
const requests = fc.record({ allowed: count, denied: count, limited: count });
const names = fc.constantFrom("a", "b");
const counted = {
  requests,
  cost: count,
  units: fc.array(fc.tuple(names, count)).map((units) => new Map(units)),
};
const hour = fc.record({
  at: fc.integer({ min: DAY * 24, max: DAY * 24 + 3 }),
  ...counted,
  routes: fc.constant(new Map()),
});
const routes = fc.array(fc.tuple(names, requests)).map((list) => new Map(list));
const row: fc.Arbitrary<UsageRow> = fc.record({
  family: fc.constant("fam"),
  owner: fc.constantFrom("acme", "umbrella"),
  day: fc.record({ at: fc.constant(DAY), ...counted, routes }),
  hours: fc
    .uniqueArray(hour, { selector: ({ at }) => at })
    .map((hours): readonly UsageRecord[] => hours.toSorted((one, other) => one.at - other.at)),
});

function merge(source: UsageRow, stored: UsageRow | undefined): UsageRow {
  const merged = mergeUsageRow(source, stored) ?? stored;
  if (merged === undefined) throw new Error("a row is not copied");
  return merged;
}

/** Whether every number of the first is at least that of the second. */
function includes(one: UsageRecord, other: UsageRecord): boolean {
  return (
    USAGE_OUTCOMES.every((outcome) => one.requests[outcome] >= other.requests[outcome]) &&
    one.cost >= other.cost &&
    [...other.units].every(([unit, amount]) => (one.units.get(unit) ?? 0) >= amount) &&
    [...other.routes].every(([label, { denied }]) => (one.routes.get(label)?.denied ?? -1) >= denied)
  );
}

test("a merge has all of both rows, at most once, whatever the order and the number of copies", () => {
  fc.assert(
    fc.property(row, row, (one, other) => {
      const merged = merge(one, merge(other, undefined));
      for (const side of [one, other]) {
        expect(mergeUsageRow(side, merged)).toBeUndefined();
        expect(includes(merged.day, side.day)).toBe(true);
      }
      expect(mergeUsageRow(merged, merged)).toBeUndefined();
      const back = merge(other, merge(one, undefined));
      expect({ ...back, owner: merged.owner }).toEqual(merged);
    }),
  );
});

test("a day is at least the sum of its hours, and no number exceeds what either side has counted", () => {
  const at = (hours: number, allowed: number): UsageRecord => {
    const requests = { allowed, denied: 0, limited: 0 };
    return { at: hours, requests, cost: allowed, units: new Map([["t", allowed]]), routes: new Map() };
  };
  const rowOf = (...hours: readonly number[]): UsageRow => ({
    family: "fam",
    owner: "acme",
    day: at(
      DAY,
      hours.reduce((sum, allowed) => sum + allowed, 0),
    ),
    hours: hours.map((allowed, index) => at(DAY * 24 + index, allowed)).filter(({ cost }) => cost > 0),
  });
  expect(merge(rowOf(5, 3, 0), rowOf(4, 0, 2))).toEqual(rowOf(5, 3, 2));
});

test("a family that the target does not list is listed, and one that it lists keeps its owner", () => {
  fc.assert(
    fc.property(row, (one) => {
      expect(mergeUsageRow(one, { ...merge(one, undefined), owner: undefined })?.owner).toBe(one.owner);
      expect(merge(one, { ...one, owner: "other" }).owner).toBe("other");
    }),
  );
});

test.each([
  ["a request", { requests: { allowed: 1, denied: 0, limited: 1 } }],
  ["a cost", { cost: 3 }],
  ["a unit", { units: new Map([["t", 2]]) }],
  ["a route", { routes: new Map([["/a", { allowed: 1, denied: 0, limited: 0 }]]) }],
] as const)("a day to which only the source adds %s is written", (_, more) => {
  const rowOf = (day: object): UsageRow => ({
    family: "fam",
    owner: "acme",
    day: { at: DAY, ...noUsage(), ...day },
    hours: [],
  });
  expect(mergeUsageRow(rowOf(more), rowOf({}))).toEqual(rowOf(more));
});
