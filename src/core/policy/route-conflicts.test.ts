import fc from "fast-check";
import { expect, test } from "vitest";
import { comparePatterns, PLAIN_ROUTE } from "../../../test/support/route.ts";
import { routeConflicts } from "./route-conflicts.ts";
import { parsePattern } from "./route-pattern.ts";
import type { Route } from "./route-table.ts";
import { createRouteTable } from "./route-table.ts";

function route(pattern: string, more: Partial<Route> = {}): Route {
  const { hosts = [], methods = [] } = more;
  return { ...PLAIN_ROUTE, label: `${pattern} ${hosts} ${methods}`, pattern, hosts, methods };
}

/** Every host and path that these routes can distinguish. `z` is a name that no route has. */
const LABELS = ["a", "b", "z"];
const HOSTS = ["a", "b", "z", "b.a", "z.a", "a.b.a", "z.b.a", "b.z.a", "a.b", "z.b"];
const deeper = (paths: readonly string[][]) =>
  paths.flatMap((path) => LABELS.map((segment) => [...path, segment]));
const ONE = deeper([[]]);
const PATHS: readonly string[][] = [[], ...ONE, ...deeper(ONE), ...deeper(deeper(ONE))];
const METHODS = ["GET", "HEAD", "POST"];

const routes = fc.uniqueArray(
  fc
    .record({
      segments: fc.array(fc.constantFrom("a", "b", "*"), { maxLength: 2 }),
      rest: fc.boolean(),
      hosts: fc.uniqueArray(fc.constantFrom("a", "b.a", "a.b.a", "*.a", "*.b.a", "*.b"), { maxLength: 2 }),
      methods: fc.constantFrom([], ["GET"], ["HEAD"], ["POST"]),
    })
    .map(({ segments, rest, hosts, methods }) =>
      route(`/${[...segments, ...(rest ? ["**"] : [])].join("/")}`, { hosts, methods }),
    ),
  { maxLength: 5, selector: ({ label }) => label },
);

function fitsPath({ pattern }: Route, path: readonly string[]): boolean {
  const parts = pattern.split("/").filter((part) => part !== "");
  const rest = parts.at(-1) === "**";
  const fixed = rest ? parts.slice(0, -1) : parts;
  return (
    (rest ? path.length >= fixed.length : path.length === fixed.length) &&
    fixed.every((part, at) => part === "*" || part === path[at])
  );
}

/** 0: no match; otherwise a larger number is closer. */
function closeness({ hosts }: Route, host: string): number {
  if (hosts.length === 0) return 1;
  const fitting = hosts.map((pattern) => {
    if (pattern === host) return 1000;
    return pattern.startsWith("*.") && host.endsWith(pattern.slice(1)) ? 1 + pattern.length : 0;
  });
  return Math.max(...fitting);
}

function patternOf({ pattern }: Route) {
  const parsed = parsePattern(pattern);
  return parsed.ok ? parsed.value : [];
}

function takes({ methods }: Route, method: string): boolean {
  return methods.length === 0 || methods.includes(method) || (method === "HEAD" && methods.includes("GET"));
}

/** The routes that are at least as close as every other one, in path and in host. */
function closest(all: readonly Route[], host: string, path: readonly string[]): readonly Route[] {
  const fitting = all.filter((one) => fitsPath(one, path) && closeness(one, host) > 0);
  return fitting.filter((one) =>
    fitting.every(
      (other) =>
        comparePatterns(patternOf(one), patternOf(other)) <= 0 &&
        closeness(one, host) >= closeness(other, host),
    ),
  );
}

/** Whether each request has one closest route, or none at all. */
function isUnambiguous(all: readonly Route[]): boolean {
  return HOSTS.every((host) =>
    PATHS.every((path) => {
      const best = closest(all, host, path);
      if (best.length === 0) return !all.some((one) => fitsPath(one, path) && closeness(one, host) > 0);
      return METHODS.every((method) => best.filter((one) => takes(one, method)).length <= 1);
    }),
  );
}

/** A request, and the label of the route that the table must find. */
function* requests(all: readonly Route[]) {
  for (const host of HOSTS)
    for (const segments of PATHS) {
      const best = closest(all, host, segments);
      for (const method of METHODS) {
        const path = { path: `/${segments.join("/")}`, segments, query: "" };
        yield { request: { path, host, method }, wanted: best.find((one) => takes(one, method)) };
      }
    }
}

test("without a conflict, each request has one closest route, and the table finds it for any order of the routes", () => {
  const shuffled = routes.chain((all) =>
    fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
  );
  fc.assert(
    fc.property(shuffled, ([all, inAnotherOrder]) => {
      const accepted = routeConflicts(all).length === 0;
      expect(routeConflicts(inAnotherOrder).length === 0).toBe(accepted);
      // With more than two routes, a third one may be closer wherever two cross. They are rejected nevertheless.
      if (all.length <= 2) expect(accepted).toBe(isUnambiguous(all));
      if (!accepted) return;
      expect(isUnambiguous(all)).toBe(true);
      const tables = [all, inAnotherOrder].map(createRouteTable);
      const wrong = [...requests(all)].filter(({ request, wanted }) =>
        tables.some((table) => table.find(request) !== wanted),
      );
      expect(wrong).toEqual([]);
    }),
    { numRuns: 500 },
  );
}, 60_000);

test.each([
  [
    "each route with its own path and host",
    (at: number) => route(`/p${at}/x`, { hosts: [`h${at}.example.com`] }),
  ],
  ["one path, each route with its own host", (at: number) => route("/**", { hosts: [`h${at}.example.com`] })],
  [
    "half of them with hosts, half without",
    (at: number) => (at % 2 === 0 ? route(`/p${at}/**`) : route(`/p${at}/*`, { hosts: ["*.example.com"] })),
  ],
])("ten thousand routes without a conflict are checked: %s", (_what, make) => {
  expect(routeConflicts(Array.from({ length: 10_000 }, (_, at) => make(at)))).toEqual([]);
});

test("of millions of conflicts a hundred are reported", () => {
  const crossed = Array.from({ length: 10_000 }, (_, at) =>
    at % 2 === 0 ? route(`/p${at}`) : route("/**", { hosts: [`h${at}.example.com`] }),
  );
  expect(routeConflicts(crossed)).toHaveLength(100);
  expect(routeConflicts(Array.from({ length: 10_000 }, () => route("/a")))).toHaveLength(100);
});
