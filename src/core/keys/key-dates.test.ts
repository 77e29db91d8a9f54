import { describe, expect, test } from "vitest";
import { issueDate, issueDateAfter, mayBeDated, newKeyId, nowSeconds } from "./key-dates.ts";

const NOW = 1_800_000_000;
const storeClock = { storeNowMs: () => NOW * 1000 + 999 };
const withCutOff = (before: number) => ({ storeClock, view: { cutOffBefore: () => before } });
const subject = { role: "basic" };

test("a key id has the role, the date by the store's clock and a random part", () => {
  const deps = { storeClock, newRandom: () => "random" };
  expect(nowSeconds(deps)).toBe(NOW);
  expect(newKeyId(deps, "basic")).toBe(`basic_${NOW}_random`);
  expect(newKeyId(deps, "basic", 5)).toBe("basic_5_random");
});

describe("a new key is dated", () => {
  test("now, or behind the latest cut-off that is known here or by the store", () => {
    expect(issueDate(withCutOff(0), subject, 0)).toBe(NOW);
    expect(issueDate(withCutOff(NOW + 2), subject, NOW + 1)).toBe(NOW + 2);
    expect(issueDate(withCutOff(NOW + 1), subject, NOW + 3)).toBe(NOW + 3);
    expect(issueDate(withCutOff(NOW - 9), subject, NOW - 5)).toBe(NOW);
  });

  test("at most three seconds ahead, because verifiers would deny it at first", () => {
    expect([mayBeDated(NOW + 3, NOW), mayBeDated(NOW + 4, NOW)]).toEqual([true, false]);
    expect(issueDateAfter(NOW + 3, NOW)).toBe(NOW + 3);
    for (const cutOff of [NOW + 4, undefined])
      expect(() => issueDateAfter(cutOff, NOW)).toThrow("no key can be issued yet");
    expect(() => issueDate(withCutOff(NOW + 4), subject, 0)).toThrow("no key can be issued yet");
  });
});
