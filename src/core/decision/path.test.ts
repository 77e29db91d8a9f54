import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PathFault } from "./path.ts";
import { normalisePath } from "./path.ts";

function normalOf(target: string): string {
  const result = normalisePath(target, "reject");
  return result.ok ? result.value.path : `rejected: ${result.fault}`;
}

describe("one resource has one normal form", () => {
  test.each([
    ["/", "/"],
    ["/a/b", "/a/b"],
    ["/a/", "/a"],
    ["/A/B", "/A/B"],
    ["/%61dmin", "/admin"],
    ["/%41", "/A"],
    ["/a%20b", "/a%20b"],
    ["/caf%c3%a9", "/caf%C3%A9"],
    ["/caf%C3%A9", "/caf%C3%A9"],
    ["/%21%24%26%27%28%29%2a%2b%2c%3a%3d%40", "/!$&'()*+,:=@"],
    ["/{a}|b", "/%7Ba%7D%7Cb"],
    ["/%7ba%7d%7cb", "/%7Ba%7D%7Cb"],
    ["/a%23b", "/a%23b"],
    ["/a%c2%a0", "/a%C2%A0"],
    ["/a%3Fb", "/a%3Fb"],
    ["/100%25", "/100%25"],
    ["/...", "/..."],
    ["/.a", "/.a"],
  ])("%s is %s", (target, path) => {
    expect(normalOf(target)).toBe(path);
  });

  test("the query is the unchanged text after the first question mark", () => {
    const result = normalisePath("/a?x=/../%2f?y", "reject");
    expect(result.ok && [result.value.path, result.value.query]).toEqual(["/a", "x=/../%2f?y"]);
    expect(normalOf("/a?")).toBe("/a");
    const queryOf = (target: string) => {
      const { ok, ...rest } = normalisePath(target, "reject");
      return ok && "value" in rest && rest.value.query;
    };
    expect(["/a", "/a?", "/?k=v", "/a?k=v"].map(queryOf)).toEqual(["", "", "k=v", "k=v"]);
  });
});

describe("an ambiguous path is rejected, not repaired", () => {
  const rejected: readonly (readonly [target: string, fault: PathFault])[] = [
    ["", "not_absolute"],
    ["*", "not_absolute"],
    ["a/b", "not_absolute"],
    ["http://evil/abs", "not_absolute"],
    ["/a/../admin", "dot_segment"],
    ["/a/%2e%2e/admin", "dot_segment"],
    ["/a/.%2E/admin", "dot_segment"],
    ["/a/./b", "dot_segment"],
    ["/a/..", "dot_segment"],
    ["/a/%2e/b", "dot_segment"],
    ["/a/.;x/b", "dot_segment"],
    ["/a/%2E;x/b", "dot_segment"],
    ["/a/..;/admin", "dot_segment"],
    ["/a/..;x=1/admin", "dot_segment"],
    ["/a/%2e%2e;x/admin", "dot_segment"],
    ["/a/..%3bx/admin", "dot_segment"],
    ["/a/..%2fadmin", "escaped_separator"],
    ["/a%2Fb", "escaped_separator"],
    ["/a%5cb", "escaped_separator"],
    ["/a%00b", "escaped_separator"],
    ["/a\\..\\b", "forbidden_character"],
    ["/a#f", "forbidden_character"],
    ["/caf\u00e9", "forbidden_character"],
    ["/a b", "forbidden_character"],
    ["/a\tb", "forbidden_character"],
    ["/a%0d%0ax", "forbidden_character"],
    ["/a%7f", "forbidden_character"],
    ["/a\u007f", "forbidden_character"],
    ["/a%c2%80", "forbidden_character"],
    ["/a%c2%85", "forbidden_character"],
    ["/a%c2%9f", "forbidden_character"],
    ["//a//b", "empty_segment"],
    ["//", "empty_segment"],
    ["/a//", "empty_segment"],
    ["/a;x=1/b", "path_params"],
    ["/a%3Bx/b", "path_params"],
    ["/a%zz", "invalid_escape"],
    ["/a%", "invalid_escape"],
    ["/a%4", "invalid_escape"],
    ["/%ff", "invalid_escape"],
    ["/%c0%af", "invalid_escape"],
    ["/%252e%252e/admin", "double_encoding"],
    ["/%2561", "double_encoding"],
    ["/%25%32%65", "double_encoding"],
  ];

  test.each(rejected)("%s: %s", (target, fault) => {
    expect(normalOf(target)).toBe(`rejected: ${fault}`);
  });

  test("with strip, ;params are ignored for matching, and a dot segment before them is still rejected", () => {
    const strip = (target: string) => normalisePath(target, "strip");
    expect(strip("/a;x=1/b;y")).toMatchObject({ ok: true, value: { path: "/a/b" } });
    expect(strip("/a;/b")).toMatchObject({ ok: true, value: { path: "/a/b" } });
    expect(strip("/a/..;x/b")).toEqual({ ok: false, fault: "dot_segment" });
    expect(strip("/a/;x/b")).toEqual({ ok: false, fault: "empty_segment" });
  });

  test("with strip, an escaped semicolon is rejected before the params, because it is a part of the name for some upstreams", () => {
    const strip = (target: string) => normalisePath(target, "strip");
    for (const target of ["/a%3Bsecret", "/a%3bsecret/b", "/a%3Bb;c", "/%3B", "/a;x/b%3Bc"])
      expect(strip(target)).toEqual({ ok: false, fault: "path_params" });
    expect(strip("/a;x=%3B/b")).toMatchObject({ ok: true, value: { path: "/a/b" } });
  });
});

describe("for every path", () => {
  const piece = fc.constantFrom(
    "a",
    "B",
    ".",
    "..",
    "/",
    "//",
    ";",
    "%3b",
    "%",
    "%2e",
    "%2E",
    "%2f",
    "%25",
    "%61",
    "%c3%a9",
    "%00",
    "?",
    "#",
    "\\",
    " ",
    "é",
    "~",
    "*",
    "x=1",
    "😀",
  );
  const target = fc.array(piece, { maxLength: 12 }).map((pieces) => `/${pieces.join("")}`);

  test("the result is a fixed point without dot segments and empty segments, and nothing throws", () => {
    fc.assert(
      fc.property(
        fc.oneof(target, fc.string(), fc.string({ unit: "binary" })),
        fc.constantFrom("reject" as const, "strip" as const),
        (text, mode) => {
          const result = normalisePath(text, mode);
          if (!result.ok) return;
          const { path, segments } = result.value;
          expect(normalisePath(path, mode)).toMatchObject({ ok: true, value: { path, segments } });
          expect(segments.some((segment) => segment === "." || segment === ".." || segment === "")).toBe(
            false,
          );
          expect(path).toMatch(/^\/[\x21-\x7e]*$/);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("escaping any character of a path does not change its normal form", () => {
    const plain = fc.stringMatching(/^[A-Za-z0-9._~-]{1,8}$/).filter((segment) => !/^\.+$/.test(segment));
    fc.assert(
      fc.property(
        fc.array(plain, { minLength: 1, maxLength: 4 }),
        fc.array(fc.boolean(), { minLength: 32, maxLength: 32 }),
        (segments, flips) => {
          let at = 0;
          const escaped = segments.map((segment) =>
            [...segment]
              .map((char) => (flips[at++ % 32] ? `%${char.charCodeAt(0).toString(16)}` : char))
              .join(""),
          );
          expect(normalOf(`/${escaped.join("/")}`)).toBe(`/${segments.join("/")}`);
        },
      ),
    );
  });
});
