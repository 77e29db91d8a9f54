import { describe, expect, test } from "vitest";
import type { StoredOverride } from "./override.ts";
import { forgetAt, isInForce, KEEP_CLEARED_SECONDS } from "./override.ts";
import { decodeOverride, encodeOverride } from "./override-codec.ts";

const NOW = 1_800_000_000;
const cleared: StoredOverride = { kind: "override", scope: "owner", subject: "acme", version: NOW * 1000 };
const override: StoredOverride = {
  ...cleared,
  expiresAt: NOW + 5,
  content: { plan: "team", quotas: [{ name: "monthly", limit: 5, extra: 0 }], note: "trial" },
};

const partsOf = (text: string): unknown[] => JSON.parse(text).slice(1);

describe("an override as a line of text", () => {
  test.each<readonly [text: string, override: StoredOverride]>([
    ['["o",1800000000000,"o","acme",0]', cleared],
    ['["o",1800000000000,"f","fam_x",0]', { ...cleared, scope: "family", subject: "fam_x" }],
    ['["o",1800000000000,"o","acme",0,{"p":"team"}]', { ...cleared, content: { plan: "team" } }],
    ['["o",1800000000000,"o","acme",0,{"q":[]}]', { ...cleared, content: { quotas: [] } }],
    ['["o",1800000000000,"o","acme",0,{"n":"x"}]', { ...cleared, content: { note: "x" } }],
    ['["o",1800000000000,"o","acme",0,{}]', { ...cleared, content: {} }],
    ['["o",1800000000000,"o","acme",1800000005,{"p":"team","q":[["monthly",5,0]],"n":"trial"}]', override],
  ])("is %s", (text, expected) => {
    expect(encodeOverride(expected)).toBe(text);
    expect(decodeOverride(partsOf(text))).toStrictEqual(expected);
  });

  const parts = partsOf(encodeOverride(override));
  test.each<readonly [what: string, place: number, values: readonly unknown[]]>([
    ["version", 0, [undefined, null, "1", -1, 0.5, 2 ** 53, Number.NaN]],
    ["scope", 1, [undefined, "", "owner", "F", 0]],
    ["subject", 2, [undefined, null, 5]],
    ["expiry", 3, [undefined, null, "1", -1, 0.5, 2 ** 53]],
    ["content", 4, [null, 5, "text", [], true]],
    ["plan", 4, [{ p: 5 }, { p: null }]],
    ["note", 4, [{ n: 5 }, { n: null }]],
    ["list of quotas", 4, [{ q: null }, { q: {} }, { q: "x" }, { q: [5] }, { q: [{}] }, { q: [null] }]],
    ["quota", 4, [{ q: [[5, 1, 1]] }, { q: [["a", "1", 1]] }, { q: [["a", 1, -1]] }, { q: [["a", 1]] }]],
    ["second quota", 4, [{ q: [["a", 1, 1], []] }]],
  ])("with a damaged %s is not read", (_what, place, values) => {
    for (const value of values) expect(decodeOverride(parts.with(place, value))).toBeUndefined();
  });

  test("can have the smallest and the largest numbers", () => {
    const largest = [Number.MAX_SAFE_INTEGER, "o", "acme", Number.MAX_SAFE_INTEGER];
    expect(decodeOverride(largest)).toMatchObject({ expiresAt: Number.MAX_SAFE_INTEGER });
    expect(decodeOverride([0, "o", "", 0])).toStrictEqual({ ...cleared, version: 0, subject: "" });
  });
});

test.each<readonly [what: string, override: StoredOverride, atMs: number, isInForce: boolean]>([
  ["without content", cleared, 0, false],
  ["without an expiry", { ...cleared, content: {} }, Number.MAX_SAFE_INTEGER, true],
  ["before its expiry", override, (NOW + 5) * 1000 - 1, true],
  ["at its expiry", override, (NOW + 5) * 1000, false],
])("an override %s applies as it should", (_what, entry, atMs, expected) => {
  expect(isInForce(entry, atMs)).toBe(expected);
});

test("an override is kept for 30 days after its end, so that older versions stay replaced", () => {
  expect(KEEP_CLEARED_SECONDS).toBe(2_592_000);
  expect(forgetAt({ ...cleared, version: NOW * 1000 + 999 })).toBe(NOW + KEEP_CLEARED_SECONDS);
  expect(forgetAt(override)).toBe(NOW + 5 + KEEP_CLEARED_SECONDS);
  expect(forgetAt({ ...cleared, content: {} })).toBe(253_402_300_799);
});
