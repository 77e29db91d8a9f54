import { describe, expect, test } from "vitest";
import { headerLines, isPreflight, normaliseHost } from "./request.ts";

describe("a host", () => {
  test.each([
    ["", ""],
    ["api.example.com", "api.example.com"],
    ["API.Example.COM", "api.example.com"],
    ["api.example.com.", "api.example.com"],
    ["api.example.com:8443", "api.example.com"],
    ["api.example.com.:443", "api.example.com"],
    ["api.example.com:", "api.example.com"],
    ["my_service", "my_service"],
    ["x--1.example", "x--1.example"],
    ["192.0.2.1:80", "192.0.2.1"],
    ["[2001:DB8::1]", "[2001:db8::1]"],
    ["[::ffff:192.0.2.1]:8080", "[::ffff:192.0.2.1]"],
    [":80", ""],
  ])("%j is normalised to %j", (host, normal) => {
    expect(normaliseHost(host)).toBe(normal);
  });

  test.each([
    "a:80:80",
    "a:b",
    "a:80x",
    "a..",
    "a..b",
    ".a",
    ".",
    "a.:80.",
    "user@a",
    "a/b",
    "a b",
    " a",
    "a ",
    "a\n",
    "a,b",
    "*.a",
    "[::1",
    "::1",
    "[]",
    "[::1].",
    "[::1]a",
    "a[::1]",
    "\u212Aey.example",
    "b\u00FCcher.example",
  ])("%j is rejected, not repaired", (host) => {
    expect(normaliseHost(host)).toBeUndefined();
  });
});

test("all lines of a header are found, and no line of an absent one", () => {
  const request = { headers: new Map([["x", ["1", "2"]]]) };
  expect(headerLines(request, "x")).toEqual(["1", "2"]);
  expect(headerLines(request, "y")).toEqual([]);
});

describe("a CORS preflight", () => {
  const isOne = (method: string, ...names: readonly string[]) =>
    isPreflight({ method, headers: new Map(names.map((name) => [name, ["x"]])) });

  test("has OPTIONS, an origin and a requested method", () => {
    expect(isOne("OPTIONS", "origin", "access-control-request-method")).toBe(true);
  });

  test.each([
    ["another method", "GET", ["origin", "access-control-request-method"]],
    ["a method in lower case", "options", ["origin", "access-control-request-method"]],
    ["no origin", "OPTIONS", ["access-control-request-method"]],
    ["no requested method", "OPTIONS", ["origin", "access-control-request-headers"]],
  ])("is not a request with %s", (_what, method, names) => {
    expect(isOne(method, ...names)).toBe(false);
  });
});
