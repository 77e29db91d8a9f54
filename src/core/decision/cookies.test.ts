import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cookieValues, withoutCookies } from "./cookies.ts";
import { presentedCredential } from "./credential.ts";

const KEY = "eyJh.eyJi.c-_9";
const NAMES = new Set(["lk"]);

/** With `encode_raw_headers`: the lines stay separate. */
function raw(...lines: readonly string[]) {
  return { headers: new Map([["cookie", lines]]) };
}

/** Without `encode_raw_headers`: Envoy joins the lines. */
function joined(...lines: readonly string[]) {
  const headers = new Map([["cookie", [lines.join(",")]]]);
  return { headers: { get: (name: string) => headers.get(name), keys: () => headers.keys(), joined: true } };
}

// Any bytes between two semicolons, including text that looks like the key's cookie.
const other = fc
  .oneof(
    fc.string({ unit: "binary", maxLength: 30 }),
    fc.constantFrom(
      "consent=C0001:1,C0002:0",
      ' prefs={"a":[1,2],"b":"x, y"}',
      " seen=Wed, 21 Oct 2026 07:28:00 GMT",
      "x=1,lk=zzz",
      "lk",
      "LK=x",
      ' q="a, b"',
      "",
      " \t ",
      "=lk",
      "k=lk=1",
    ),
  )
  .map((text) => text.replaceAll(";", ":"))
  .filter((text) => !/^[ \t]*lk[ \t]*=/.test(text));
const keyed = fc.constantFrom(`lk=${KEY}`, ` lk=${KEY}`, `\tlk = ${KEY} `, ` lk="${KEY}"`);
const trimmed = (text: string) => text.replace(/^[ \t]+/, "").replace(/[ \t]+$/, "");

test("only the key's pair is removed from any Cookie header, and every other byte stays", () => {
  fc.assert(
    fc.property(fc.array(other, { maxLength: 8 }), keyed, fc.nat(8), (others, pair, place) => {
      const parts = [...others];
      parts.splice(Math.min(place, others.length), 0, pair);
      const request = raw(parts.join(";"));
      expect(withoutCookies(request, NAMES)).toBe(trimmed(others.join(";")));
      expect(presentedCredential(request, ["cookie:lk"])).toEqual({
        kind: "one",
        token: KEY,
        source: "cookie:lk",
      });
    }),
    { numRuns: 2000 },
  );
});

test("a Cookie header without the key's pair stays unchanged and presents no key", () => {
  fc.assert(
    fc.property(fc.array(other, { maxLength: 8 }), (others) => {
      const request = raw(others.join(";"));
      expect(withoutCookies(request, NAMES)).toBeUndefined();
      expect(presentedCredential(request, ["cookie:lk"])).toEqual({ kind: "none" });
    }),
    { numRuns: 1000 },
  );
});

test("a comma in another cookie does not add a second key", () => {
  const { headers } = raw("x=1,lk=zzz");
  headers.set("authorization", ["Bearer abc"]);
  expect(presentedCredential({ headers }, ["authorization", "cookie:lk"])).toMatchObject({ token: "abc" });
});

test("several lines become one, without a line that is empty after the removal", () => {
  expect(withoutCookies(raw("a=1", `lk=${KEY}; b=2,3`), NAMES)).toBe("a=1; b=2,3");
  expect(withoutCookies(raw("a=1", `lk=${KEY}`), NAMES)).toBe("a=1");
  expect(withoutCookies(raw(`lk=${KEY}`), NAMES)).toBe("");
  expect(withoutCookies(raw("a=1", "b=2"), NAMES)).toBeUndefined();
});

test("all cookies of the name are removed", () => {
  expect(withoutCookies(raw("lk=1; a=1;lk=2;b=2; lk=3"), NAMES)).toBe("a=1;b=2");
  expect(cookieValues(raw("lk=1; a=1;lk=2", "lk=3"), "lk", { unreadable: "?", max: 3 })).toEqual([
    "1",
    "2",
    "3",
  ]);
});

test.each([
  ['lk="a"', ["a"]],
  ['lk=""', [""]],
  ['lk="', ['"']],
  ['lk=a"b"', ['a"b"']],
  ['lk="a"b', ['"a"b']],
  ['lk="a\nb"', ["a\nb"]],
  ["lk=a=b", ["a=b"]],
  ["lk \t = \t a \t", ["a"]],
  ["lk=a,b", ["a,b"]],
  ["lk", []],
  ["lkx=a", []],
  ["xlk=a", []],
  ["lk x=a", []],
  ["=lk", []],
  ["", []],
  // The upstream may trim more than SP and HTAB.
  ["\u00a0lk=a", ["?"]],
  ["lk\ufeff=a", ["?"]],
  ["\rlk=a", ["?"]],
  ["\vlk=a; lk=b", ["?", "b"]],
  // No parser trims these.
  ["\blk=a", []],
  ["\u000elk=a", []],
  ["\u001flk=a", []],
  ["\u009flk=a", []],
  ["\u00a1lk=a", []],
])("the cookies of the line %j have the values %j", (line, values) => {
  expect(cookieValues(raw(line), "lk", { unreadable: "?", max: 9 })).toEqual(values);
});

test("a line with more cookies of the name than allowed has one unreadable value, and other lines have theirs", () => {
  expect(cookieValues(raw("lk=1; lk=2", "lk=3"), "lk", { unreadable: "?", max: 1 })).toEqual(["?", "3"]);
});

test("the cookies of several names are removed, and those of other names stay where they are", () => {
  const names = new Set(["lk", "other"]);
  expect(withoutCookies(raw("lk=1;other=2; a=3;other=4;b=5"), names)).toBe("a=3;b=5");
  expect(withoutCookies(raw("a=1; other=2"), names)).toBe("a=1");
  expect(withoutCookies(raw("x=lk; y=other"), names)).toBeUndefined();
  expect(withoutCookies(raw(";lk=1;;a=2;"), names)).toBe(";;a=2;");
  expect(withoutCookies({ headers: new Map() }, names)).toBeUndefined();
});

test("more cookies of the name than any client sends are not a key, even if all but one are empty", () => {
  const lines = (empty: number) => raw(`${"lk=; ".repeat(empty)}lk=${KEY}`);
  expect(presentedCredential(lines(15), ["cookie:lk"])).toMatchObject({ kind: "one", token: KEY });
  expect(presentedCredential(lines(16), ["cookie:lk"])).toEqual({ kind: "ambiguous" });
  expect(withoutCookies(lines(16), NAMES)).toBe("");
});

describe("lines that Envoy has joined with commas", () => {
  test("a key in its own line is found and removed, and other commas stay", () => {
    for (const [lines, kept] of [
      [["a=1", `lk=${KEY}`], "a=1"],
      [[`lk=${KEY}`, "a=1"], "a=1"],
      [["a=1", `lk=${KEY}; b=2`], "a=1; b=2"],
      [["consent=C0001:1", `C0002:0; lk=${KEY}`], "consent=C0001:1,C0002:0"],
      [["", `lk=${KEY}`, ""], ","],
    ] as const) {
      const request = joined(...lines);
      expect(withoutCookies(request, NAMES)).toBe(kept);
      expect(presentedCredential(request, ["cookie:lk"])).toMatchObject({ token: KEY });
    }
  });

  test("two lines with a key each are two keys", () => {
    expect(presentedCredential(joined("lk=one", "lk=two"), ["cookie:lk"])).toEqual({ kind: "ambiguous" });
  });
});
