import { describe, expect, test } from "vitest";
import type { OutcomeCounts, UsageAmount } from "./usage-amount.ts";
import {
  addTotals,
  countsOfRoute,
  MAX_ROUTES,
  mergeUsage,
  noAmount,
  noUsage,
  OTHER_ROUTES,
  totalRequests,
} from "./usage-amount.ts";

const counts = (allowed: number, denied = 0, limited = 0): OutcomeCounts => ({ allowed, denied, limited });

function amount(owner: string, more: Partial<UsageAmount> = {}): UsageAmount {
  return { ...noUsage(), owner, ...more };
}

test("what was not used is zero, for a family and for a store", () => {
  for (const usage of [noUsage(), noAmount("acme")]) {
    expect(usage).toMatchObject({ requests: counts(0), cost: 0 });
    expect([[...usage.units], [...usage.routes]]).toEqual([[], []]);
  }
  expect(noAmount("acme").owner).toBe("acme");
});

test("a sum has the requests, the cost, the units and the routes of both amounts, and the later owner", () => {
  const one = amount("before", {
    ...{ requests: counts(1, 2, 3), cost: 5 },
    units: new Map([["tokens", 10]]),
    routes: new Map([["/a", counts(1, 2, 3)]]),
  });
  const other = amount("after", {
    ...{ requests: counts(10, 20, 30), cost: 50 },
    units: new Map([
      ["tokens", 100],
      ["bytes", 7],
    ]),
    routes: new Map([
      ["/a", counts(10, 0, 0)],
      ["/b", counts(0, 20, 30)],
    ]),
  });
  expect(mergeUsage(one, other)).toBe(one);
  expect(one).toEqual(
    amount("after", {
      ...{ requests: counts(11, 22, 33), cost: 55 },
      units: new Map([
        ["tokens", 110],
        ["bytes", 7],
      ]),
      routes: new Map([
        ["/a", counts(11, 2, 3)],
        ["/b", counts(0, 20, 30)],
      ]),
    }),
  );
  expect(totalRequests(one.requests)).toBe(66);
});

test("totals are added without the routes", () => {
  const sum = noUsage();
  addTotals(sum, amount("acme", { cost: 3, routes: new Map([["/a", counts(3)]]) }));
  expect(sum).toEqual({ ...noUsage(), cost: 3 });
});

test("a cost or a unit stays a number that can be read again, however large it becomes", () => {
  const most = Number.MAX_SAFE_INTEGER;
  const large = () => amount("acme", { cost: most - 1, units: new Map([["tokens", most - 1]]) });
  const sum = mergeUsage(large(), large());
  expect([sum.cost, sum.units.get("tokens")]).toEqual([most, most]);
});

describe("beyond the maximum of routes", () => {
  const full = () =>
    new Map<string, OutcomeCounts>(Array.from({ length: MAX_ROUTES }, (_, at) => [`/${at}`, counts(0)]));

  test("further routes are counted as others, and known ones as themselves", () => {
    const routes = full();
    for (const label of ["/new", "/newer", "/3"]) countsOfRoute(routes, label).allowed++;
    expect([routes.get(OTHER_ROUTES), routes.get("/3"), routes.size]).toEqual([
      counts(2),
      counts(1),
      MAX_ROUTES + 1,
    ]);
  });

  test("the others do not take the place of a route", () => {
    const routes = full();
    routes.delete("/3");
    routes.set(OTHER_ROUTES, counts(5));
    countsOfRoute(routes, "/last").allowed++;
    countsOfRoute(routes, "/further").allowed++;
    expect([routes.get("/last"), routes.get(OTHER_ROUTES)]).toEqual([counts(1), counts(6)]);
  });
});
