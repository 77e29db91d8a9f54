import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { comparePatterns, PLAIN_ROUTE } from "../../../test/support/route.ts";
import { normalisePath } from "../decision/path.ts";
import { parsePattern } from "./route-pattern.ts";
import type { Route } from "./route-table.ts";
import { createRouteTable } from "./route-table.ts";

function route(pattern: string, more: Partial<Route> = {}): Route {
  return {
    ...PLAIN_ROUTE,
    pattern,
    label: `${pattern} ${(more.methods ?? []).join()} ${(more.hosts ?? []).join()}`.trim(),
    ...more,
  };
}

function find(
  routes: readonly Route[],
  path: string,
  method = "GET",
  host = "example.com",
): string | undefined {
  const normal = normalisePath(path, "reject");
  if (!normal.ok) throw new Error(normal.fault);
  return createRouteTable(routes).find({ path: normal.value, method, host })?.label;
}

describe("the most specific route wins", () => {
  const routes = ["/**", "/a/**", "/a/*", "/a/b", "/a/*/c", "/a/b/**", "/*/b"].map((pattern) =>
    route(pattern),
  );
  test.each([
    ["/", "/**"],
    ["/x/y/z", "/**"],
    ["/x/b", "/*/b"],
    ["/a", "/a/**"],
    ["/a/", "/a/**"],
    ["/a/x", "/a/*"],
    ["/a/b", "/a/b"],
    ["/a/b/c", "/a/b/**"],
    ["/a/x/c", "/a/*/c"],
    ["/a/x/d", "/a/**"],
    ["/A/b", "/*/b"],
  ])("%s goes to %s", (path, label) => {
    expect(find(routes, path)).toBe(label);
  });

  test("** also matches no segment", () => {
    expect(find([route("/public/**")], "/public")).toBe("/public/**");
    expect(find([route("/public/**")], "/publics")).toBeUndefined();
  });

  test("a pattern matches every character of a path literally", () => {
    expect(find([route("/a.b")], "/axb")).toBeUndefined();
    expect(find([route("/a*b")].slice(1), "/a*b")).toBeUndefined();
    for (const text of ["a%20b", "(x)", "a+b", "$", "x:y", "a,b", "100%25"])
      expect(find([route(`/${text}`)], `/${text}`)).toBeDefined();
    expect(find([route("/*")], "/*")).toBe("/*");
  });
});

describe("methods", () => {
  test("GET covers HEAD, and no other method covers another", () => {
    const routes = [route("/a", { methods: ["GET"] }), route("/a", { methods: ["POST"] })];
    expect(find(routes, "/a", "HEAD")).toBe("/a GET");
    expect(find(routes, "/a", "POST")).toBe("/a POST");
    expect(find(routes, "/a", "PUT")).toBeUndefined();
    expect(find(routes, "/a", "get")).toBeUndefined();
  });

  test("a broader route never matches a method that the closer one omits", () => {
    const routes = [route("/a/b", { methods: ["GET"] }), route("/a/**"), route("/**", { methods: ["POST"] })];
    expect(find(routes, "/a/b", "POST")).toBeUndefined();
    expect(find(routes, "/a/c", "POST")).toBe("/a/**");
  });
});

describe("hosts", () => {
  const routes = [
    route("/x"),
    route("/x", { hosts: ["*.example.com"] }),
    route("/x", { hosts: ["*.eu.example.com"] }),
    route("/x", { hosts: ["api.eu.example.com"] }),
  ];
  test.each([
    ["other.org", "/x"],
    ["example.com", "/x"],
    ["a.example.com", "/x  *.example.com"],
    ["a.eu.example.com", "/x  *.eu.example.com"],
    ["api.eu.example.com", "/x  api.eu.example.com"],
    ["evilexample.com", "/x"],
    [".example.com", "/x"],
  ])("%s goes to %s, in any order of the routes", (host, label) => {
    expect(find(routes, "/x", "GET", host)).toBe(label);
    expect(find(routes.toReversed(), "/x", "GET", host)).toBe(label);
  });

  const ofPartners = route("/x", { hosts: ["partner.org"], public: true });
  const ofOthers = route("/x", { hosts: ["*.example.com", "other.org"] });
  test.each([
    ["a route", [ofPartners]],
    ["several routes", [ofPartners, ofOthers]],
  ])("%s with hosts are not for other hosts, which have the next wider pattern", (_what, those) => {
    expect(find(those, "/x", "GET", "partner.org")).toBe("/x  partner.org");
    expect(find(those, "/x", "GET", "api.partner.org")).toBeUndefined();
    expect(find([...those, route("/**")], "/x", "GET", "example.com")).toBe("/**");
  });
});

test("a table of an invalid pattern is not built", () => {
  expect(() => createRouteTable([route("/a"), route("/a/**/b")])).toThrow(RangeError);
});

test("for any routes and any path, the table finds the closest matching pattern of the list", () => {
  const segment = fc.constantFrom("a", "b", "c", "*");
  const pattern = fc
    .tuple(fc.array(segment, { maxLength: 4 }), fc.boolean())
    .map(([segments, rest]) => `/${[...segments, ...(rest ? ["**"] : [])].join("/")}`);
  const path = fc.array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 5 });
  fc.assert(
    fc.property(fc.uniqueArray(pattern, { maxLength: 12 }), path, (patterns, segments) => {
      const fits = (text: string) => {
        const parts = text
          .slice(1)
          .split("/")
          .filter((part) => part !== "");
        const rest = parts.at(-1) === "**";
        const fixed = rest ? parts.slice(0, -1) : parts;
        const long = rest ? segments.length >= fixed.length : segments.length === fixed.length;
        return long && fixed.every((part, at) => part === "*" || part === segments[at]);
      };
      const parse = (text: string) => {
        const parsed = parsePattern(text);
        return parsed.ok ? parsed.value : [];
      };
      const [closest] = patterns.filter(fits).sort((a, b) => comparePatterns(parse(a), parse(b)));
      expect(
        find(
          patterns.map((text) => route(text)),
          `/${segments.join("/")}`,
        ),
      ).toBe(closest);
    }),
    { numRuns: 1000 },
  );
});
