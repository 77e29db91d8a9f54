import fc from "fast-check";
import { describe, expect, test } from "vitest";
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

describe("routes without a closer one are reported as conflicts", () => {
  test.each([
    ["one path twice", [route("/a"), route("/a")], 1],
    ["overlapping methods", [route("/a", { methods: ["GET", "PUT"] }), route("/a", { methods: ["PUT"] })], 1],
    ["HEAD beside GET", [route("/a", { methods: ["GET"] }), route("/a", { methods: ["HEAD"] })], 1],
    ["all methods beside one", [route("/a"), route("/a", { methods: ["GET"] })], 1],
    ["other methods", [route("/a", { methods: ["GET"] }), route("/a", { methods: ["PUT"] })], 0],
    ["one spelling of two", [route("/%61"), route("/a/")], 1],
    ["other hosts", [route("/a", { hosts: ["x.org"] }), route("/a", { hosts: ["y.org"] })], 0],
    ["a host and none", [route("/a", { hosts: ["x.org"] }), route("/a")], 0],
    ["closer by host, the other by path", [route("/**", { hosts: ["x.org"] }), route("/public/**")], 1],
    ["closer by both", [route("/public/x", { hosts: ["x.org"] }), route("/public/**")], 0],
    [
      "closer by host, but where the other names that very host",
      [route("/a/**", { hosts: ["*.example.com"] }), route("/a/b", { hosts: ["x.example.com", "*.com"] })],
      1,
    ],
    [
      "closer by path for each host that both take",
      [route("/a/**", { hosts: ["*.example.com"] }), route("/a/b", { hosts: ["*.example.com", "*.com"] })],
      0,
    ],
    [
      "closer by host under a wildcard, in a rest that meets a star",
      [route("/*/b/**", { hosts: ["*.x.org"] }), route("/a/**", { hosts: ["*.org"] })],
      1,
    ],
    ["one text in other segments", [route("/a/b"), route("/ab")], 0],
    ["one that names a host twice", [route("/a", { hosts: ["x.org", "x.org"] })], 0],
    ["apart by path", [route("/a/**", { hosts: ["x.org"] }), route("/b/c")], 0],
  ] as const)("%s", (_what, given, conflicts) => {
    expect(routeConflicts(given)).toHaveLength(conflicts);
  });
});

/** All lists of these elements, in any order and with any repetition, up to a length. */
function listsOf<Element>(elements: readonly Element[], maxLength: number): readonly (readonly Element[])[] {
  if (maxLength === 0) return [[]];
  const shorter = listsOf(elements, maxLength - 1);
  const longest = shorter.filter(({ length }) => length === maxLength - 1);
  return [...shorter, ...longest.flatMap((list) => elements.map((element) => [...list, element]))];
}

/** The pairs of these routes that are in conflict, and those that must be. */
function conflictsOfPairs(
  pairs: readonly (readonly [Route, Route])[],
  isConflict: (one: Route, other: Route) => boolean,
) {
  const shown = (those: typeof pairs) => those.map((pair) => pair.map(({ label }) => label).join(" beside "));
  return {
    found: shown(pairs.filter((pair) => routeConflicts(pair).length > 0)),
    wanted: shown(pairs.filter(([one, other]) => isConflict(one, other))),
  };
}

const pairsOf = (some: readonly Route[], others: readonly Route[]) =>
  some.flatMap((one) => others.map((other) => [one, other] as const));

describe("two routes are a conflict exactly if they take one request and neither is the closer one", () => {
  const patterns = listsOf(["a", "b", "*"], 3).flatMap((segments) =>
    [segments, [...segments, "**"]].map((parts) => `/${parts.join("/")}`),
  );
  /** The paths that fit each pattern, as a set of bits. */
  const fitting = new Map(
    patterns.map((pattern) => [
      pattern,
      PATHS.reduce(
        (bits, path, at) => (fitsPath(route(pattern), path) ? bits | (1n << BigInt(at)) : bits),
        0n,
      ),
    ]),
  );
  const overlap = (one: Route, other: Route) =>
    ((fitting.get(one.pattern) ?? 0n) & (fitting.get(other.pattern) ?? 0n)) !== 0n;

  test("for all short patterns, where one route has a host and the other has a wider one", () => {
    const wide = patterns.map((pattern) => route(pattern));
    const narrow = patterns.map((pattern) => route(pattern, { hosts: ["x.org"] }));
    const isConflict = (one: Route, other: Route) =>
      overlap(one, other) && comparePatterns(patternOf(other), patternOf(one)) < 0;
    const { found, wanted } = conflictsOfPairs(pairsOf(narrow, wide), isConflict);
    expect(found).toEqual(wanted);
    expect(wanted.length).toBeGreaterThan(1000);
  });

  test("for all short patterns of the same hosts", () => {
    const all = patterns.map((pattern) => route(pattern, { hosts: ["x.org"] }));
    const { found, wanted } = conflictsOfPairs(
      pairsOf(all, all),
      (one, other) => one.pattern === other.pattern,
    );
    expect(found).toEqual(wanted);
  });

  test("for all lists of two hosts, where the other route is closer by path", () => {
    const hosts = listsOf(["a", "b.a", "a.b.a", "*.a", "*.b.a", "*.b"], 2);
    const pairs = pairsOf(
      hosts.map((names) => route("/**", { hosts: names })),
      hosts.map((names) => route("/a", { hosts: names })),
    );
    const isConflict = (one: Route, other: Route) =>
      HOSTS.some((host) => closeness(other, host) > 0 && closeness(one, host) > closeness(other, host));
    for (const ordered of [pairs, pairs.map(([one, other]) => [other, one] as const)]) {
      const { found, wanted } = conflictsOfPairs(ordered, (one, other) =>
        one.pattern === "/**" ? isConflict(one, other) : isConflict(other, one),
      );
      expect(found).toEqual(wanted);
    }
  });

  test("for all lists of two methods of one path", () => {
    const all = listsOf(METHODS, 2).map((methods) => route("/a", { methods }));
    const { found, wanted } = conflictsOfPairs(pairsOf(all, all), (one, other) =>
      METHODS.some((method) => takes(one, method) && takes(other, method)),
    );
    expect(found).toEqual(wanted);
  });
});

test("a conflict names both routes by their position, the first one first, and says why", () => {
  const [any, ofHost] = [route("/public/**"), route("/**", { hosts: ["x.org", "y.org"] })];
  const unrelated = route("/b", { hosts: ["z.org"] });
  const why = "cross: one is closer by host, the other by path; give both the same hosts";
  expect(routeConflicts([unrelated, any, ofHost])).toEqual([{ first: 1, second: 2, why }]);
  expect(routeConflicts([ofHost, unrelated, any])).toEqual([{ first: 0, second: 2, why }]);
  expect(routeConflicts([ofHost, unrelated, ofHost])).toEqual([
    { first: 0, second: 2, why: "have the same path, host and method" },
  ]);
});

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
  const repeated = Array.from({ length: 10_000 }, () => route("/a"));
  for (const routes of [crossed, repeated, [...crossed, ...repeated]])
    expect(routeConflicts(routes)).toHaveLength(100);
});
