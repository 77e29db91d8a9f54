import { expect, test } from "vitest";
import { quotaDemand } from "../../../test/support/quota-demand.ts";
import { PLAIN_ROUTE } from "../../../test/support/route.ts";
import type { Route } from "../policy/route-table.ts";
import { createChargesOf } from "./charge-grants.ts";

const route: Route = { ...PLAIN_ROUTE, label: "/a", pattern: "/a", charges: ["tokens", "images"] };
const limits = { bucketPrefix: "basic", rateLimits: [], quotas: [] };
const [daily, monthly, images, other] = [
  quotaDemand({ name: "daily", unit: "tokens" }),
  quotaDemand({ name: "monthly", unit: "tokens" }),
  quotaDemand({ name: "images", unit: "images" }),
  quotaDemand({ name: "other", unit: "other" }),
];

test("a route charges the quotas of its units, and grants only units that have one", () => {
  const chargesOf = createChargesOf();
  expect(chargesOf(route, limits, [daily, other])).toStrictEqual({
    looked: [daily],
    reserving: [],
    grant: { mode: "enforce", route: "/a", units: ["tokens"] },
  });
  expect(chargesOf(route, limits, [other])).toBeUndefined();
  expect(chargesOf({ ...route, charges: [] }, limits, [daily])).toBeUndefined();
});

test("a route reserves from every quota of the unit, and looks at the others", () => {
  const reserving: Route = { ...route, reserve: { unit: "tokens", amount: 7 } };
  expect(createChargesOf()(reserving, limits, [daily, images, monthly])).toStrictEqual({
    looked: [images],
    reserving: [daily, monthly],
    grant: {
      mode: "enforce",
      route: "/a",
      units: ["tokens", "images"],
      reserved: { unit: "tokens", amount: 7, quotas: ["daily", "monthly"] },
    },
  });
  // Nothing is reserved for a key without a quota of the unit.
  expect(createChargesOf()(reserving, limits, [images])?.grant).toStrictEqual({
    mode: "enforce",
    route: "/a",
    units: ["images"],
  });
});

test("equal requests have the same grant, so that it is encoded once", () => {
  const chargesOf = createChargesOf();
  const grantOf = (from: Route, list = limits) => chargesOf(from, list, [daily])?.grant;
  expect(grantOf(route)).toBe(grantOf(route));
  expect(grantOf({ ...route })).not.toBe(grantOf(route));
  expect(grantOf(route, { ...limits })).not.toBe(grantOf(route));
});
