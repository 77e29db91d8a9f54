import { describe, expect, test } from "vitest";
import { legacyFields, limitField, policyField } from "./rate-limit-headers.ts";

const perKey = { name: "per-key", capacity: 60, windowSeconds: 60, remaining: 12 };
const perRole = { name: "per-role", capacity: 1000, windowSeconds: 10, remaining: 3 };

describe("the RateLimit fields", () => {
  test("have the name, the capacity, the window and the tokens left of each bucket", () => {
    expect(policyField([perKey, perRole])).toBe('"per-key";q=60;w=60, "per-role";q=1000;w=10');
    expect(limitField([perKey, perRole])).toBe('"per-key";r=12, "per-role";r=3');
  });

  test("have the time until the next try in a denial", () => {
    expect(limitField([{ ...perKey, remaining: 0 }], 7)).toBe('"per-key";r=0;t=7');
  });

  test("have the end of each window, although the text of an end is kept", () => {
    const ending = (resetSeconds: number) => ({ ...perKey, resetSeconds });
    const fieldOf = (seconds: number) => `"per-key";r=12;t=${seconds}`;
    const ends = Array.from({ length: 40 }, (_, at) => 40 - at);
    for (const end of [...ends, ...ends]) expect(limitField([ending(end)])).toBe(fieldOf(end));
  });

  test("have only integers that every parser accepts", () => {
    const huge = { name: "x", capacity: 1e16, windowSeconds: 1e15, remaining: -1 };
    expect(policyField([huge])).toBe('"x";q=999999999999999;w=999999999');
    expect(limitField([huge])).toBe('"x";r=0');
  });

  test("have X-RateLimit counterparts for the bucket with the fewest tokens, and none without a bucket", () => {
    expect(legacyFields([perKey, perRole])).toEqual([
      ["x-ratelimit-limit", "1000"],
      ["x-ratelimit-remaining", "3"],
      ["x-ratelimit-reset", "10"],
    ]);
    expect(legacyFields([perKey], 7)[2]).toEqual(["x-ratelimit-reset", "7"]);
    expect(legacyFields([])).toEqual([]);
  });
});
