import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { TakeOutcome } from "../core/limits/ports.ts";
import type { RateLimit } from "../core/policy/policy.ts";
import { createBucketStore } from "./bucket-store.ts";

function limitOf(capacity: number, refillPerSecond: number, name = "n"): RateLimit {
  return { name, per: "key", capacity, refillPerSecond, leased: true };
}

function take(
  store: ReturnType<typeof createBucketStore>,
  limits: readonly RateLimit[],
  cost: number,
  nowMs: number,
): TakeOutcome {
  const outcome = store.take(
    limits.map((limit) => ({ bucketId: limit.name, limit })),
    cost,
    nowMs,
  );
  if (outcome instanceof Promise) throw new Error("the memory store responds without a promise");
  return outcome;
}

test("returned tokens can be taken again, up to the capacity", async () => {
  const store = createBucketStore({ maxBuckets: 10 });
  const limit = { name: "n", per: "address", leased: false, capacity: 2, refillPerSecond: 0.001 } as const;
  const demand = { bucketId: "b", limit };
  const takes = async () => (await store.take([demand], 1, 0)).ok;
  store.refund(demand, 1);
  expect([await takes(), await takes(), await takes()]).toEqual([true, true, false]);
  store.refund(demand, 1);
  expect([await takes(), await takes()]).toEqual([true, false]);
  store.refund(demand, 9);
  expect([await takes(), await takes(), await takes()]).toEqual([true, true, false]);
});

test("for any requests and backward clock steps, over every span: admitted ≤ C + r·T", () => {
  const request = fc.record({
    waitMs: fc.integer({ min: 0, max: 3000 }),
    cost: fc.integer({ min: 0, max: 4 }),
    backMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 5000 })),
  });
  fc.assert(
    fc.property(
      fc.integer({ min: 4, max: 20 }),
      fc.constantFrom(0.01, 0.7, 3, 100),
      fc.array(request, { maxLength: 60 }),
      (capacity, rate, requests) => {
        const store = createBucketStore({ maxBuckets: 10 });
        const limit = limitOf(capacity, rate);
        const admitted: { atMs: number; cost: number }[] = [];
        let trueMs = 0;
        let offsetMs = 1_000_000;
        for (const { waitMs, cost, backMs } of requests) {
          trueMs += waitMs;
          offsetMs -= backMs;
          if (take(store, [limit], cost, trueMs + offsetMs).ok) admitted.push({ atMs: trueMs, cost });
        }
        for (const [first, { atMs: beginMs }] of admitted.entries()) {
          let sum = 0;
          for (const { atMs, cost } of admitted.slice(first)) {
            sum += cost;
            expect(sum).toBeLessThanOrEqual(capacity + (rate * (atMs - beginMs)) / 1000 + 1e-6);
          }
        }
      },
    ),
  );
});

describe("a bucket", () => {
  test("admits a single client that waits for the Retry-After", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 50 }),
        fc.constantFrom(1 / 3600, 0.3, 1, 7),
        fc.integer({ min: 1, max: 2 }),
        (capacity, rate, cost) => {
          const store = createBucketStore({ maxBuckets: 10 });
          const limit = limitOf(capacity, rate);
          while (take(store, [limit], 1, 0).ok);
          const denied = take(store, [limit], cost, 0);
          if (denied.ok) throw new Error("empty");
          expect(take(store, [limit], cost, denied.retryAfterSeconds * 1000).ok).toBe(true);
        },
      ),
    );
  });

  test("that refills one token per hour has it after an hour, although it is used each second", () => {
    const store = createBucketStore({ maxBuckets: 10 });
    const limit = limitOf(1, 1 / 3600);
    expect(take(store, [limit], 1, 0).ok).toBe(true);
    const admittedAt: number[] = [];
    for (let second = 1; second <= 3601; second++)
      if (take(store, [limit], 1, second * 1000).ok) admittedAt.push(second);
    expect(admittedAt).toEqual([3600]);
  });

  test("takes from all of several buckets or from none", () => {
    const store = createBucketStore({ maxBuckets: 10 });
    const [wide, narrow] = [limitOf(5, 0.001, "wide"), limitOf(1, 0.001, "narrow")];
    expect(take(store, [wide, narrow], 1, 0)).toMatchObject({
      ok: true,
      rates: [{ remaining: 4 }, { remaining: 0 }],
    });
    for (let repeat = 0; repeat < 9; repeat++) expect(take(store, [wide, narrow], 1, 0).ok).toBe(false);
    expect(take(store, [wide], 4, 0).ok).toBe(true);
  });

  test("always admits a cost of 0", () => {
    const store = createBucketStore({ maxBuckets: 10 });
    while (take(store, [limitOf(2, 1)], 1, 0).ok);
    expect(take(store, [limitOf(2, 1)], 0, 0).ok).toBe(true);
  });

  test("is forgotten above the maximum, the least recently used first, by the second", () => {
    const store = createBucketStore({ maxBuckets: 2 });
    const [a, b, c] = ["a", "b", "c"].map((name) => limitOf(1, 0.001, name));
    if (!a || !b || !c) throw new Error("three");
    for (const limit of [a, b]) take(store, [limit], 1, 0);
    for (const limit of [a, c]) take(store, [limit], 1, 1000);
    expect(take(store, [a], 1, 1000).ok).toBe(false);
    expect(take(store, [b], 1, 1000).ok).toBe(true);
  });

  test("that is drained is not forgotten while others are full again", () => {
    const store = createBucketStore({ maxBuckets: 100 });
    const drained = Array.from({ length: 40 }, (_, number) => limitOf(1, 1 / 86_400, `drained ${number}`));
    for (const limit of drained) take(store, [limit], 1, 0);
    for (let value = 0; value < 10_000; value++) take(store, [limitOf(5, 100, `value ${value}`)], 1, value);
    for (const limit of drained) expect(take(store, [limit], 1, 10_000).ok).toBe(false);
  });
});
