import { describe, expect, test } from "vitest";
import { claimAt, memberOf, textAt, valuesAt, wordsAt } from "./claims.ts";

const at = (...path: readonly string[]) => [path];

describe("a claim", () => {
  const claims = { org: { id: "acme" }, "org.id": "dotted", empty: null, off: false, list: ["a"] };

  test.each<readonly [what: string, where: readonly (readonly string[])[], value: unknown]>([
    ["is found by its name", at("org.id"), "dotted"],
    ["is found in an object", at("org", "id"), "acme"],
    ["is the first that exists", [["none"], ["org", "none"], ["org", "id"], ["org.id"]], "acme"],
    ["can be null", [["empty"], ["org.id"]], null],
    ["can be false", [["off"], ["org.id"]], false],
    ["is absent without a path", [], undefined],
    ["is absent below a text", at("org.id", "length"), undefined],
    ["is absent below null", at("empty", "id"), undefined],
    ["is the member of a list", at("list", "0"), "a"],
  ])("%s", (_what, where, value) => expect(claimAt(claims, where)).toBe(value));

  test.each(["constructor", "__proto__", "toString"])("is never the inherited member %s", (name) => {
    expect(memberOf({}, name)).toBeUndefined();
    expect(claimAt({ org: {} }, at("org", name))).toBeUndefined();
  });

  test.each([undefined, null, "text", 5])("is absent in %j", (claims) => {
    expect(memberOf(claims, "length")).toBeUndefined();
  });
});

test("a text is a text only: no number, list or object becomes one", () => {
  const claims = { text: "a b", number: 5, list: ["a"], object: {}, yes: true };
  expect(textAt(claims, at("text"))).toBe("a b");
  for (const name of ["number", "list", "object", "yes", "none"])
    expect(textAt(claims, at(name))).toBeUndefined();
  expect(textAt(claims, undefined)).toBeUndefined();
});

describe("words", () => {
  test.each<readonly [value: unknown, words: readonly string[], values: readonly string[]]>([
    ["a b", ["a", "b"], ["a b"]],
    [" a  b ", ["a", "b"], [" a  b "]],
    ["", [], [""]],
    [
      ["a", "b c", 5, null, ["d"]],
      ["a", "b c"],
      ["a", "b c"],
    ],
    [{ a: true, b: { org: "x" }, c: "1" }, ["a", "b", "c"], ["a", "b", "c"]],
    [{ a: false, b: null, c: 0, d: "" }, [], []],
    [5, [], []],
    [true, [], []],
    [null, [], []],
    [undefined, [], []],
  ])("of %j are %j, and its values are %j", (value, words, values) => {
    expect(wordsAt({ value }, at("value"))).toEqual(words);
    expect(valuesAt({ value }, at("value"))).toEqual(values);
  });
});
