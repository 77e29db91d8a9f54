import { describe, expect, test } from "vitest";
import { FamilyCounts } from "./family-counts.ts";

/** The amount, with plain lists. */
function counted(family: FamilyCounts) {
  const { units, routes, ...totals } = family.amount();
  return { ...totals, units: [...units], routes: [...routes] };
}

test("a family that has used nothing has no route and no unit", () => {
  expect(counted(new FamilyCounts("acme"))).toEqual({
    owner: "acme",
    requests: { allowed: 0, denied: 0, limited: 0 },
    ...{ cost: 0, units: [], routes: [] },
  });
});

test("requests are counted by route, and in total also those without a route", () => {
  const family = new FamilyCounts("acme");
  family.count("denied", undefined, 0);
  family.count("allowed", "/a", 3);
  family.count("allowed", "/b", 4);
  family.count("limited", "/b", 0);
  family.count("allowed", "/a", 3);
  family.count("denied", undefined, 0);
  expect(counted(family)).toEqual({
    owner: "acme",
    requests: { allowed: 3, denied: 2, limited: 1 },
    ...{ cost: 10, units: [] },
    routes: [
      ["/a", { allowed: 2, denied: 0, limited: 0 }],
      ["/b", { allowed: 1, denied: 0, limited: 1 }],
    ],
  });
});

test("requests without a route alone have no route", () => {
  const family = new FamilyCounts("acme");
  family.count("denied", undefined, 0);
  expect(counted(family)).toMatchObject({ requests: { denied: 1 }, routes: [] });
});

test("charges are sums by unit, beside the requests", () => {
  const family = new FamilyCounts("acme");
  for (const [unit, amount] of [
    ["tokens", 5],
    ["bytes", 1],
    ["tokens", 7],
  ] as const)
    family.charge(unit, amount);
  expect(counted(family)).toMatchObject({
    cost: 0,
    units: [
      ["tokens", 12],
      ["bytes", 1],
    ],
  });
});

test("an amount is a copy, which later requests do not change", () => {
  const family = new FamilyCounts("acme");
  const use = () => {
    family.count("allowed", "/a", 1);
    family.count("allowed", "/b", 1);
    family.charge("tokens", 1);
  };
  use();
  const amount = family.amount();
  use();
  expect([amount.requests.allowed, amount.cost, amount.units.get("tokens")]).toEqual([2, 2, 1]);
  expect([amount.routes.get("/a")?.allowed, amount.routes.get("/b")?.allowed]).toEqual([1, 1]);
});

describe("the way from a key", () => {
  test("leads to the counts until they are released", () => {
    const key: { counts?: FamilyCounts | undefined } = {};
    const family = new FamilyCounts("acme");
    family.reachedFrom(key);
    expect(key.counts).toBe(family);
    family.release();
    expect(key.counts).toBeUndefined();
  });

  test("starts at one key of the family at a time, so that a release reaches it", () => {
    const [old, refreshed]: { counts?: FamilyCounts | undefined }[] = [{}, {}];
    if (old === undefined || refreshed === undefined) expect.unreachable();
    const family = new FamilyCounts("acme");
    family.reachedFrom(old);
    family.reachedFrom(refreshed);
    expect([old.counts, refreshed.counts]).toEqual([undefined, family]);
    family.release();
    expect(refreshed.counts).toBeUndefined();
  });

  test("stays if later counts have taken it", () => {
    const key: { counts?: FamilyCounts | undefined } = {};
    const [earlier, later] = [new FamilyCounts("acme"), new FamilyCounts("acme")];
    earlier.reachedFrom(key);
    later.reachedFrom(key);
    earlier.release();
    expect(key.counts).toBe(later);
  });
});
