import { describe, expect, test } from "vitest";
import type { LeaseRequest } from "./leased-bucket.ts";
import { fullLeasedBucket, LEASE_LIFE_US, leaseStep } from "./leased-bucket.ts";
import { MICRO } from "./token-bucket.ts";

const SECOND_US = 1_000_000;
const START_US = 1_800_000_000 * SECOND_US;
const limit = { capacity: 10, refillPerSecond: 1 };

/** A bucket, and its steps at microseconds after the start. */
function bucketOf(tokens: number, of = limit) {
  const bucket = fullLeasedBucket(of, START_US);
  bucket.levelMicro = tokens * MICRO;
  const step = (atUs: number, request?: Partial<LeaseRequest>, settled: readonly Settled[] = []) =>
    leaseStep(
      bucket,
      of,
      settled.map(([leaseId, unspentTokens, spentAgoUs = 0]) => ({ leaseId, unspentTokens, spentAgoUs })),
      request && { leaseId: "l", cost: 1, waiting: 1, ahead: 0, held: 0, ...request },
      START_US + atUs,
    );
  const level = () => bucket.levelMicro / MICRO;
  return { bucket, step, level };
}
type Settled = readonly [leaseId: string, unspentTokens: number, spentAgoUs?: number];

test("an unused bucket is full and has no leases", () => {
  expect(fullLeasedBucket(limit, 7)).toEqual({ levelMicro: 10 * MICRO, stampUs: 7, leases: new Map() });
});

describe("a grant", () => {
  test.each([
    ["its cost", 10, { cost: 3, waiting: 3 }, 3],
    ["what all waiting requests need", 10, { cost: 3, waiting: 8 }, 8],
    ["of these, as much as there is", 5, { cost: 3, waiting: 8 }, 5],
    ["tokens ahead", 10, { ahead: 4 }, 4],
    ["ahead, at most half of the level", 9, { ahead: 8 }, 4],
    ["whole tokens of the level", 3.9, { cost: 3, waiting: 4 }, 3],
    ["all that there is", 3, { cost: 3 }, 3],
    ["nothing if the level is below the cost", 2.9, { cost: 3, waiting: 3 }, 0],
    ["nothing without a cost", 10, { cost: 0, waiting: 0, ahead: 4 }, 0],
  ])("has %s", (_what, tokens, request, granted) => {
    const { bucket, step, level } = bucketOf(tokens);
    const { grantedTokens } = step(0, request);
    expect(grantedTokens).toBe(granted);
    expect(level()).toBeCloseTo(tokens - granted, 9);
    const lease = { tokens: granted, deadlineUs: START_US + LEASE_LIFE_US };
    expect([...bucket.leases]).toEqual(granted === 0 ? [] : [["l", lease]]);
  });

  test("that is requested twice is the same, and takes no more", () => {
    const { step, level } = bucketOf(10);
    expect([step(0, { cost: 3 }), step(5, { cost: 4, waiting: 9 })]).toMatchObject([
      { grantedTokens: 3 },
      { grantedTokens: 3, waitUs: 0, leasesOutstanding: false },
    ]);
    expect(level()).toBe(7);
  });

  test("makes no wait, and neither does a step without a request", () => {
    const { step } = bucketOf(10);
    for (const request of [{ cost: 3 }, undefined])
      expect(step(0, request)).toMatchObject({ waitUs: 0, leasesOutstanding: false });
  });
});

describe("a denial", () => {
  test("says how long the refill takes, and whether leases may come back sooner", () => {
    const alone = bucketOf(1);
    expect(alone.step(0, { cost: 3 })).toEqual({
      grantedTokens: 0,
      waitUs: 2 * SECOND_US,
      leasesOutstanding: false,
      isHalfFull: false,
    });
    const shared = bucketOf(5);
    shared.step(0, { leaseId: "other", cost: 4 });
    expect(shared.step(0, { cost: 3 })).toEqual({
      grantedTokens: 0,
      waitUs: 2 * SECOND_US,
      leasesOutstanding: true,
      isHalfFull: false,
    });
  });

  test("of a cost above what outstanding leases leave also waits for the last of them", () => {
    const { step } = bucketOf(10);
    step(0, { leaseId: "a", cost: 4 });
    step(300_000, { leaseId: "b", cost: 4 });
    // 10 − 8 are left to refill, and the second lease lasts a second from then.
    expect(step(300_000, { cost: 2 }).grantedTokens).toBe(2);
    expect(step(300_000, { leaseId: "c", cost: 1 }).waitUs).toBe(SECOND_US + SECOND_US);
  });

  test("of a cost that the leases just allow waits for the refill alone", () => {
    const { step } = bucketOf(7);
    step(0, { leaseId: "a", cost: 7 });
    expect(step(0, { cost: 3 }).waitUs).toBe(3 * SECOND_US);
    expect(step(0, { cost: 4 }).waitUs).toBe(SECOND_US + 4 * SECOND_US);
  });

  test("of a refill that never comes waits for the largest time that Redis can send", () => {
    expect(bucketOf(0, { capacity: 10, refillPerSecond: 1e-12 }).step(0, { cost: 1 }).waitUs).toBe(2 ** 52);
  });
});

describe("a settlement", () => {
  test("returns what was not spent, once", () => {
    const { bucket, step, level } = bucketOf(10);
    step(0, { cost: 6 });
    step(0, undefined, [
      ["l", 4],
      ["unknown", 9],
    ]);
    expect([level(), bucket.leases.size]).toEqual([8, 0]);
    step(0, undefined, [["l", 4]]);
    expect(level()).toBe(8);
  });

  test("returns at most what was granted, and at least nothing", () => {
    for (const [unspent, left] of [
      [9, 10],
      [-3, 4],
    ] as const) {
      const { step, level } = bucketOf(10);
      step(0, { cost: 6 });
      step(0, undefined, [["l", unspent]]);
      expect(level()).toBe(left);
    }
  });

  test("at its deadline or later returns nothing", () => {
    for (const [atUs, left] of [
      [LEASE_LIFE_US - 1, 10],
      [LEASE_LIFE_US, 4],
    ] as const) {
      const { bucket, step, level } = bucketOf(10, { capacity: 10, refillPerSecond: 1e-9 });
      step(0, { cost: 6 });
      step(atUs, undefined, [["l", 6]]);
      expect([level(), bucket.leases.size]).toEqual([left, 0]);
    }
  });

  test("of an expired lease is not needed: the bucket forgets it", () => {
    const { bucket, step } = bucketOf(10);
    step(0, { cost: 6 });
    step(LEASE_LIFE_US - 1);
    expect(bucket.leases.size).toBe(1);
    step(LEASE_LIFE_US);
    expect(bucket.leases.size).toBe(0);
  });

  test("comes before the grant of the same step", () => {
    const { step } = bucketOf(6);
    step(0, { leaseId: "a", cost: 6 });
    expect(step(0, { leaseId: "b", cost: 6 }, [["a", 6]])).toMatchObject({ grantedTokens: 6 });
  });

  test("of the time of spending lets the bucket refill from then on", () => {
    for (const [spentAgoUs, left] of [
      // A spending after now cannot be.
      [-5, 0],
      [0, 0],
      [400_000, 0.4],
    ] as const) {
      const { step, level } = bucketOf(10);
      step(0, { cost: 10 });
      step(500_000, undefined, [["l", 0, spentAgoUs]]);
      expect(level()).toBeCloseTo(left, 9);
    }
  });

  test("of a spending before the last step credits no time twice", () => {
    const { step, level } = bucketOf(10);
    step(0, { cost: 10 });
    step(400_000);
    step(500_000, undefined, [["l", 0, 500_000]]);
    expect(level()).toBeCloseTo(0.1, 9);
  });
});

describe("the refill", () => {
  test("stops at the capacity without the outstanding leases", () => {
    const { step, level } = bucketOf(10);
    step(0, { cost: 4 });
    step(900_000);
    expect(level()).toBe(6);
    // The lease counts as spent from its deadline on, not from the last step on.
    step(1_500_000);
    expect(level()).toBeCloseTo(6.5, 9);
    step(9_000_000);
    expect(level()).toBe(10);
  });

  test("credits nothing if the clock stepped back, and shortens leases to their whole life", () => {
    const { bucket, step, level } = bucketOf(10);
    step(0, { cost: 4 });
    bucket.levelMicro = MICRO;
    step(-5 * SECOND_US);
    expect(level()).toBe(1);
    expect([...bucket.leases.values()]).toEqual([
      { tokens: 4, deadlineUs: START_US - 5 * SECOND_US + LEASE_LIFE_US },
    ]);
    step(-4.5 * SECOND_US);
    expect(level()).toBeCloseTo(1.5, 9);
  });

  test("loses nothing when it is slower than the steps, and gains nothing", () => {
    const { bucket, step } = bucketOf(0, { capacity: 10, refillPerSecond: 0.3 });
    for (let us = 1; us <= 100; us++) {
      step(us);
      expect(Number.isInteger(bucket.levelMicro)).toBe(true);
      expect(bucket.levelMicro).toBeLessThanOrEqual(us * 0.3);
      expect(bucket.stampUs).toBeLessThanOrEqual(START_US + us);
    }
    expect(bucket.levelMicro).toBeGreaterThanOrEqual(24);
  });

  test("of a bucket with a smaller capacity is the capacity", () => {
    const { step, level } = bucketOf(30);
    step(5);
    expect(level()).toBe(10);
  });

  test("of a bucket whose leases exceed a smaller capacity is nothing", () => {
    const { bucket, step, level } = bucketOf(10);
    step(0, { cost: 8 });
    leaseStep(bucket, { capacity: 5, refillPerSecond: 1 }, [], undefined, START_US + 5);
    expect(level()).toBe(0);
  });

  test("of a full bucket starts with the next spending", () => {
    const { bucket, step, level } = bucketOf(10, { capacity: 10, refillPerSecond: 0.3 });
    step(7);
    expect(bucket.stampUs).toBe(START_US + 7);
    step(SECOND_US, { cost: 10 });
    expect(level()).toBe(0);
  });
});

test("several ends of leases in one step each count from their own time", () => {
  const { step, level } = bucketOf(10);
  step(0, { leaseId: "a", cost: 6 });
  step(0, { leaseId: "b", cost: 4 });
  // `b` was spent after 200 ms, `a` after 600 ms: 0.2 s of refill fit beside `a`, then all of it.
  step(800_000, undefined, [
    ["a", 0, 200_000],
    ["b", 0, 600_000],
  ]);
  expect(level()).toBeCloseTo(0.6, 9);
});
