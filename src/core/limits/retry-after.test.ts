import { expect, test } from "vitest";
import type { BucketDemand } from "./ports.ts";
import { peekOutcome, retryAfterOf, secondsToRefill, secondsUntil, takeOutcome } from "./retry-after.ts";
import { MICRO } from "./token-bucket.ts";

const limit = { capacity: 10, refillPerSecond: 2 };
const rate = (remaining: number) => ({ name: "r", capacity: 10, windowSeconds: 5, remaining });

test.each([
  [429, 7, 7],
  [503, 7, 7],
  [503, 0, 0],
  [503, undefined, 1],
  [429, undefined, undefined],
])("a %d with a wait of %s seconds has Retry-After %s", (status, seconds, expected) => {
  expect(retryAfterOf(status, seconds)).toBe(expected);
});

test("a take with a wait is denied, and has the wait", () => {
  expect(takeOutcome([rate(1)], 0)).toEqual({ ok: true, rates: [rate(1)] });
  expect(takeOutcome([rate(0)], 3)).toEqual({
    ok: false,
    reason: "rate_limited",
    retryAfterSeconds: 3,
    rates: [rate(0)],
  });
});

test.each([
  [10, 5],
  [1, 1],
  [2, 1],
  [2.1, 2],
  [0, 0],
  [-3, 0],
])("%d missing tokens at 2/s need %d s", (missing, seconds) => {
  expect(secondsToRefill(missing, limit)).toBe(seconds);
});

test.each([
  [0, 10, 5],
  [4, 10, 3],
  [10, 10, 0],
  [9.5, 10, 1],
])("a bucket with %d tokens holds %d after %d s", (level, tokens, seconds) => {
  expect(secondsUntil({ levelMicro: level * MICRO, stampMs: 0 }, limit, tokens)).toBe(seconds);
});

test("a look at buckets is denied if one of them holds no whole token", () => {
  const demand: BucketDemand = { bucketId: "b", limit: { ...limit, name: "r", per: "key", leased: true } };
  const look = (...remaining: readonly number[]) =>
    peekOutcome([demand], { ok: true, rates: remaining.map(rate) });
  expect(look(1, 1)).toEqual({ ok: true, rates: [rate(1), rate(1)] });
  expect(look(1, 0.9)).toMatchObject({ ok: false, retryAfterSeconds: 1, rates: [rate(1), rate(0.9)] });
  const denied = { ok: false, reason: "limits_unavailable", retryAfterSeconds: 9, rates: [rate(0)] } as const;
  expect(peekOutcome([demand], denied)).toBe(denied);
  expect(peekOutcome([], { ok: true, rates: [] })).toEqual({ ok: true, rates: [] });
});
