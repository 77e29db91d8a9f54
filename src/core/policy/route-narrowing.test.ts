import { expect, test } from "vitest";
import { PLAIN_ROUTE } from "../../../test/support/route.ts";
import { createRouteNarrowing } from "./route-narrowing.ts";
import type { Route } from "./route-table.ts";

const route: Route = { ...PLAIN_ROUTE, label: "x", pattern: "/x", scopes: ["a"], cost: 2 };
const extensions = (members: Readonly<Record<string, string>>) => new Map(Object.entries(members));
const narrowed = (members: Readonly<Record<string, string>>, from = route) =>
  createRouteNarrowing()(from, extensions(members));

test.each<readonly [members: Record<string, string>, scopes: readonly string[], cost: number]>([
  [{ scopes: "b" }, ["a", "b"], 2],
  [{ scopes: "a" }, ["a"], 2],
  [{ scopes: "b c:d" }, ["a", "b", "c:d"], 2],
  [{ cost: "5" }, ["a"], 5],
  [{ cost: "1" }, ["a"], 2],
  [{ scopes: "b", cost: "3", other: "x" }, ["a", "b"], 3],
])("%j only narrow a route: scopes %j, cost %d", (members, scopes, cost) => {
  expect(narrowed(members)).toEqual({ ...route, scopes, cost });
});

test("scopes on a public route require a key, and a cost does not", () => {
  const open = { ...route, public: true };
  expect(narrowed({ scopes: "b" }, open)).toMatchObject({ public: false });
  expect(narrowed({ cost: "5" }, open)).toMatchObject({ public: true });
  expect(narrowed({ scopes: "b" })).toMatchObject({ public: false });
});

test.each(["", " ", "b ", " b", "b  c", "b,c", "-b", "b\n", `b${"x".repeat(64)}`, "b é"])(
  "malformed scopes are not ignored: %j",
  (scopes) => expect(narrowed({ scopes })).toBeUndefined(),
);

test.each(["", "-1", "1.5", "1e3", " 1", "1\n", "1000000000", "x"])(
  "a malformed cost is not ignored: %j",
  (cost) => expect(narrowed({ cost })).toBeUndefined(),
);

test("without these members the route stays the same object, and equal members give the same object", () => {
  const narrow = createRouteNarrowing();
  expect(narrow(route, extensions({ other: "x" }))).toBe(route);
  const [first, other] = [{ scopes: "b" }, { scopes: "b", cost: "3" }];
  const variant = narrow(route, extensions(first));
  expect(narrow(route, extensions(first))).toBe(variant);
  for (const others of [other, { scopes: "c" }, { scopes: "b", cost: "4" }])
    expect(narrow(route, extensions(others))).not.toBe(variant);
  expect(narrow(route, extensions({ scopes: "c" }))).toMatchObject({ scopes: ["a", "c"] });
  expect(narrow(route, extensions({ cost: "3" }))).toEqual({ ...route, cost: 3 });
  expect(narrow({ ...route }, extensions(first))).not.toBe(variant);
});

test("a route keeps 100 variants, and still narrows beyond them", () => {
  const narrow = createRouteNarrowing();
  const costing = (cost: number) => narrow(route, extensions({ cost: String(cost) }));
  const variants = Array.from({ length: 101 }, (_, at) => costing(at + 10));
  expect(variants.filter((variant, at) => costing(at + 10) === variant)).toHaveLength(100);
  expect(costing(1000)).toEqual({ ...route, cost: 1000 });
});
