import fc from "fast-check";
import { expect, test } from "vitest";
import { pointerTo } from "./endpoint.ts";

test.each([
  [["scopes", 0], "#/scopes/0"],
  [[], "#"],
  [[""], "#/"],
  [["a/b"], "#/a~1b"],
  [["m~n"], "#/m~0n"],
  [["~1"], "#/~01"],
  [["a b%"], "#/a%20b%25"],
  [["é"], "#/%C3%A9"],
  [['"', "\\", "<"], "#/%22/%5C/%3C"],
] as const)("a pointer to %j is %s", (path, pointer) => {
  expect(pointerTo("", path)).toBe(pointer);
});

test("a pointer into the query starts with its root", () => {
  expect(pointerTo("/query", ["limit"])).toBe("#/query/limit");
});

test("the pointer of any path has only URI characters and decodes to that path; lone surrogates become U+FFFD", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "binary" }), { maxLength: 4 }), (path) => {
      const pointer = pointerTo("", path);
      expect(pointer).toMatch(/^#[/A-Za-z0-9%!'()*._~-]*$/);
      const read = decodeURIComponent(pointer.slice(1))
        .split("/")
        .slice(1)
        .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
      expect(read).toEqual(path.map((part) => part.toWellFormed()));
    }),
    { examples: [[["\ud800"]], [["~01", "~10", "/~"]]] },
  );
});
