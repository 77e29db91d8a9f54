import { expect, test } from "vitest";
import { fullBucket, MICRO, refillBucket } from "./token-bucket.ts";

const limit = { capacity: 10, refillPerSecond: 4 };
const state = (tokens: number, stampMs: number) => ({ levelMicro: tokens * MICRO, stampMs });

test("an unused bucket is full", () => {
  expect(fullBucket(limit, 7)).toEqual(state(10, 7));
});

test.each([
  ["nothing in no time", state(1, 1000), 1000, state(1, 1000)],
  ["r tokens in a second", state(1, 1000), 2000, state(5, 2000)],
  ["no more than its capacity", state(1, 1000), 4000, state(10, 4000)],
  ["exactly up to its capacity", state(2, 1000), 3000, state(10, 3000)],
  ["nothing if the clock stepped back", state(1, 1000), 400, state(1, 400)],
  ["nothing above a smaller capacity, even if the clock stepped back", state(12, 1000), 400, state(10, 400)],
])("a bucket is refilled with %s", (_what, before, nowMs, after) => {
  expect(refillBucket(before, limit, nowMs)).toEqual(after);
});

test("a refill of less than a micro-token is not lost", () => {
  const slow = { capacity: 10, refillPerSecond: 1 / 3000 };
  let bucket = state(0, 0);
  for (let ms = 1; ms <= 9; ms++) {
    bucket = refillBucket(bucket, slow, ms);
    expect(Number.isInteger(bucket.levelMicro)).toBe(true);
    expect(bucket.stampMs).toBeLessThanOrEqual(ms);
  }
  expect(bucket.levelMicro).toBe(3);
});
