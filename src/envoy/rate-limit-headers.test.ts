import { describe, expect, test } from "vitest";
import { rateLimitFields } from "./rate-limit-headers.ts";

const perKey = { name: "per-key", capacity: 60, windowSeconds: 60, remaining: 12 };
const perRole = { name: "per-role", capacity: 1000, windowSeconds: 10, remaining: 3 };

describe("the RateLimit fields", () => {
  test("name each bucket with its size, its window and what is left", () => {
    expect(rateLimitFields([perKey, perRole], undefined, false)).toEqual([
      ["ratelimit-policy", '"per-key";q=60;w=60, "per-role";q=1000;w=10'],
      ["ratelimit", '"per-key";r=12, "per-role";r=3'],
    ]);
  });

  test("say on a refusal when to come back", () => {
    expect(rateLimitFields([{ ...perKey, remaining: 0 }], 7, false)[1]).toEqual([
      "ratelimit",
      '"per-key";r=0;t=7',
    ]);
  });

  test("are absent without a limit", () => {
    expect(rateLimitFields([], undefined, true)).toEqual([]);
  });

  test("keep to integers that every parser takes", () => {
    const huge = { name: "x", capacity: 1_000_000_000, windowSeconds: 1e15, remaining: -1 };
    expect(rateLimitFields([huge], undefined, false)).toEqual([
      ["ratelimit-policy", '"x";q=999999999;w=999999999'],
      ["ratelimit", '"x";r=0'],
    ]);
  });

  test("come with X-RateLimit of the tightest bucket where the policy says so", () => {
    expect(rateLimitFields([perKey, perRole], undefined, true).slice(2)).toEqual([
      ["x-ratelimit-limit", "1000"],
      ["x-ratelimit-remaining", "3"],
      ["x-ratelimit-reset", "10"],
    ]);
  });
});
