import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RateLimit } from "../policy/policy.ts";
import type { LeasePool } from "./lease-pool.ts";
import { createLeasePool } from "./lease-pool.ts";
import type { LeasedBucket } from "./leased-bucket.ts";
import { fullLeasedBucket, leaseStep } from "./leased-bucket.ts";
import { MICRO } from "./token-bucket.ts";

/** Two instances with one clock and one store that responds at once. */
function twoInstances() {
  const clock = { nowMs: 1_000_000 };
  let steps = 0;
  const buckets = new Map<string, LeasedBucket>();
  const pools = [0, 1].map((number) =>
    createLeasePool({
      store: {
        async step(bucketId, limit, settlements, request) {
          const nowUs = clock.nowMs * 1000;
          steps++;
          const bucket = buckets.get(bucketId) ?? fullLeasedBucket(limit, nowUs);
          buckets.set(bucketId, bucket);
          return leaseStep(bucket, limit, settlements, request, nowUs);
        },
      },
      monotonicMs: () => clock.nowMs,
      instanceId: `i${number}`,
      maxBuckets: 100,
      fallback: {
        take: () => {
          throw new Error("the store is available");
        },
      },
    }),
  );
  const poolOf = (number: number) => pools[number % pools.length] ?? expect.unreachable();
  const wait = async (ms: number) => {
    for (const endMs = clock.nowMs + ms; clock.nowMs < endMs; ) {
      clock.nowMs = Math.min(endMs, clock.nowMs + 50);
      for (const pool of pools) await pool.sweep();
    }
  };
  return {
    buckets,
    poolOf,
    wait,
    steps: () => steps,
    close: () => Promise.all(pools.map((pool) => pool.close())),
  };
}

function limitOf(capacity: number, refillPerSecond: number, leased: boolean): RateLimit {
  return { name: "n", per: "key", capacity, refillPerSecond, leased };
}

const instance = fc.nat({ max: 1 });

describe("several buckets on one request", () => {
  const ALMOST_ZERO = 1e-9;
  const limits = [
    limitOf(40, ALMOST_ZERO, true),
    limitOf(25, ALMOST_ZERO, true),
    limitOf(7, ALMOST_ZERO, false),
  ];
  const request = fc.record({
    instance,
    cost: fc.integer({ min: 0, max: 3 }),
    of: fc.subarray([0, 1, 2], { minLength: 1 }),
  });
  const rounds = fc.array(
    fc.record({
      together: fc.array(request, { minLength: 1, maxLength: 12 }),
      thenMs: fc.constantFrom(0, 0, 3, 120),
    }),
    { minLength: 1, maxLength: 14 },
  );

  test("an admitted request takes its cost from each bucket and a denied one from none, under any concurrency", async () => {
    await fc.assert(
      fc.asyncProperty(rounds, async (history) => {
        const { buckets, poolOf, wait, close } = twoInstances();
        const left = limits.map(({ capacity }) => capacity);
        for (const { together, thenMs } of history) {
          await Promise.all(
            together.map(async ({ instance: number, cost, of }) => {
              const demands = limits.flatMap((limit, at) =>
                of.includes(at) ? [{ bucketId: `b${at}`, limit }] : [],
              );
              const { ok } = await poolOf(number).take(demands, cost, 0);
              if (ok) for (const at of of) left[at] = (left[at] ?? 0) - cost;
            }),
          );
          await wait(thenMs);
        }
        await close();
        for (const [at, tokens] of left.entries()) {
          const bucket = buckets.get(`b${at}`);
          if (bucket !== undefined) expect(bucket.levelMicro / MICRO).toBeCloseTo(tokens, 4);
          expect(tokens).toBeGreaterThanOrEqual(0);
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe("Retry-After", () => {
  const form = fc.record({
    capacity: fc.integer({ min: 1, max: 40 }),
    refillPerSecond: fc.constantFrom(1 / 60, 0.3, 1, 2.5, 7, 40),
    leased: fc.boolean(),
  });
  const move = fc.record({
    instance,
    cost: fc.integer({ min: 1, max: 40 }),
    thenMs: fc.constantFrom(0, 0, 0, 1, 30, 400, 1300),
    retryOn: instance,
  });
  const moves = fc.array(move, { minLength: 5, maxLength: 60 });
  type Moves = typeof moves extends fc.Arbitrary<infer Made> ? Made : never;

  const admitted = fc.asyncProperty(
    form,
    moves,
    fc.boolean(),
    async ({ leased, ...size }, history, oneCost) => {
      const limit = limitOf(size.capacity, size.refillPerSecond, leased);
      const demands = [{ bucketId: "b", limit }];
      const { poolOf, wait } = twoInstances();
      for (const { cost, instance: number, retryOn, thenMs } of oneCost
        ? ofOneCost(history)
        : onOneInstance(history)) {
        const taken = Math.min(cost, limit.capacity);
        const outcome = await poolOf(number).take(demands, taken, 0);
        if (!outcome.ok) {
          // One more millisecond, because stamps are rounded up to microseconds.
          await wait(outcome.retryAfterSeconds * 1000 + 1);
          expect(await poolOf(retryOn).take(demands, taken, 0)).toMatchObject({ ok: true });
        }
        await wait(thenMs);
      }
    },
  );
  const ofOneCost = (history: Moves) => history.map((move) => ({ ...move, cost: history[0]?.cost ?? 1 }));
  const onOneInstance = (history: Moves) => history.map((move) => ({ ...move, instance: 0, retryOn: 0 }));

  test("a single client that waits this long is admitted: at any costs on one instance, at one cost on any instance", async () => {
    await fc.assert(admitted, { numRuns: 100 });
  });
});

test("an instance that is alone denies a request only if the limit lacks its cost, whatever its own leases hold", async () => {
  const limit = limitOf(100, 1e-9, true);
  const cost = fc.oneof(fc.constant(1), fc.integer({ min: 2, max: 20 }));
  const step = fc.record({ cost, thenMs: fc.constantFrom(0, 0, 0, 1, 30, 120, 260, 900) });
  const history = fc.array(step, { minLength: 10, maxLength: 80 });
  await fc.assert(
    fc.asyncProperty(history, async (steps) => {
      const { poolOf, wait } = twoInstances();
      let left = limit.capacity;
      for (const { cost: wanted, thenMs } of steps) {
        const { ok } = await poolOf(0).take([{ bucketId: "b", limit }], wanted, 0);
        expect(ok).toBe(wanted <= left);
        if (ok) left -= wanted;
        await wait(thenMs);
      }
    }),
    { numRuns: 200 },
  );
});

test("an unused bucket is forgotten, and its next use leases from the store again", async () => {
  const { poolOf, wait, close } = twoInstances();
  const limit: RateLimit = { name: "l", per: "key", leased: true, capacity: 10, refillPerSecond: 1 };
  const pool = poolOf(0);
  const take = (bucketId: string) => pool.take([{ bucketId, limit }], 1, 0);
  await Promise.all(Array.from({ length: 50 }, (_, i) => take(`b${i}`)));
  expect(pool.size()).toBe(50);
  await wait(900);
  await take("b0");
  await wait(300);
  expect(pool.size()).toBe(1);
  await wait(2000);
  expect(pool.size()).toBe(0);
  expect(await take("b0")).toMatchObject({ ok: true });
  await close();
});

test("the next sweep repeats a failed return of tokens", async () => {
  const clock = { nowMs: 1_000_000 };
  const returned: number[] = [];
  let failures = 1;
  const pool = createLeasePool({
    store: {
      async step(_bucketId, _limit, settlements, request) {
        if (request !== undefined) return { grantedTokens: 10, waitUs: 0, leasesOutstanding: false };
        if (failures-- > 0) throw new Error("unavailable for a moment");
        returned.push(...settlements.map(({ unspentTokens }) => unspentTokens));
        return { grantedTokens: 0, waitUs: 0, leasesOutstanding: false };
      },
    },
    monotonicMs: () => clock.nowMs,
    instanceId: "i",
    maxBuckets: 100,
    fallback: { take: () => expect.unreachable() },
  });
  await pool.take([{ bucketId: "b", limit: limitOf(100, 1, true) }], 1, 0);
  for (let sweeps = 0; sweeps < 8; sweeps++) {
    clock.nowMs += 50;
    await pool.sweep();
  }
  expect(returned).toEqual([9]);
});

test("on shutdown the store learns of spent leases, although a sweep has nothing to return of them", async () => {
  const clock = { nowMs: 1_000_000 };
  const settled: (readonly number[])[] = [];
  const pool = createLeasePool({
    store: {
      async step(_bucketId, _limit, settlements, request) {
        settled.push(settlements.map(({ unspentTokens }) => unspentTokens));
        return { grantedTokens: request?.cost ?? 0, waitUs: 0, leasesOutstanding: false };
      },
    },
    monotonicMs: () => clock.nowMs,
    instanceId: "i",
    maxBuckets: 100,
    fallback: { take: () => expect.unreachable() },
  });
  await pool.take([{ bucketId: "b", limit: limitOf(100, 1, true) }], 1, 0);
  clock.nowMs += 300;
  await pool.sweep();
  await pool.close();
  expect(settled).toEqual([[], [0]]);
});

test("a lost lease request loses no tokens: the next one returns them again and takes its own", async () => {
  const clock = { nowMs: 1_000_000 };
  const returned: (readonly number[])[] = [];
  const observed: (readonly [string, number])[] = [];
  let [isLost, grantedTokens] = [false, 10];
  const pool = createLeasePool({
    store: {
      async step(_bucketId, _limit, settlements) {
        returned.push(settlements.map(({ unspentTokens }) => unspentTokens));
        if (isLost) throw new Error("lost on purpose");
        return { grantedTokens, waitUs: 0, leasesOutstanding: false };
      },
    },
    monotonicMs: () => clock.nowMs,
    instanceId: "i",
    maxBuckets: 100,
    fallback: { take: () => ({ ok: false, reason: "limits_unavailable", retryAfterSeconds: 1, rates: [] }) },
    observe: (event, tokens) => observed.push([event, tokens]),
  });
  const demands = [{ bucketId: "b", limit: limitOf(100, 1, true) }];
  const take = async () => pool.take(demands, 1, 0);
  await take();
  // Past the deadline of the lease and before the store has counted it as spent, without a sweep in between.
  clock.nowMs += 950;
  isLost = true;
  expect(await take()).toMatchObject({ ok: false });
  isLost = false;
  expect(await take()).toMatchObject({ ok: true });
  expect(returned).toEqual([[], [9], [9]]);
  clock.nowMs += 250;
  await pool.sweep();
  grantedTokens = 0;
  expect(await take()).toMatchObject({ ok: false });
  expect(observed).toEqual([
    ["granted", 10],
    ["failed", 0],
    ["granted", 10],
    ["returned", 9],
    ["refused", 0],
  ]);
});

test("a failed return is repeated, although a later return of the same limit has succeeded meanwhile", async () => {
  const clock = { nowMs: 1_000_000 };
  const first = Promise.withResolvers<void>();
  const returned: (readonly string[])[] = [];
  const pool = createLeasePool({
    store: {
      async step(_bucketId, _limit, settlements, request) {
        if (request !== undefined) return { grantedTokens: 10, waitUs: 0, leasesOutstanding: false };
        returned.push(settlements.map(({ leaseId }) => leaseId));
        if (returned.length === 1) await first.promise;
        return { grantedTokens: 0, waitUs: 0, leasesOutstanding: false };
      },
    },
    monotonicMs: () => clock.nowMs,
    instanceId: "i",
    maxBuckets: 100,
    fallback: { take: () => expect.unreachable() },
  });
  const demands = [{ bucketId: "b", limit: limitOf(100, 1, true) }];
  const sweepAfter = async (ms: number) => {
    clock.nowMs += ms;
    return pool.sweep();
  };
  await pool.take(demands, 1, 0);
  const pending = sweepAfter(200);
  await pool.take(demands, 1, 0);
  await sweepAfter(200);
  await sweepAfter(50);
  first.reject(new Error("lost on purpose"));
  await pending;
  await sweepAfter(50);
  expect(returned).toEqual([["i.1"], ["i.2"], ["i.1"]]);
});

describe("a limit that has not been used for a while is forgotten", () => {
  const open = () => {
    const clock = { nowMs: 1_000_000 };
    const pending = Promise.withResolvers<never>();
    const pool = createLeasePool({
      store: {
        async step(bucketId, _limit, _settlements, request) {
          if (bucketId === "pending") return pending.promise;
          const grantedTokens = bucketId.startsWith("denied") ? 0 : (request?.cost ?? 0);
          return { grantedTokens, waitUs: 86_400_000_000, leasesOutstanding: false };
        },
      },
      monotonicMs: () => clock.nowMs,
      instanceId: "i",
      maxBuckets: 1000,
      fallback: { take: () => ({ ok: true, rates: [] }) },
    });
    const daily = limitOf(1, 1 / 86_400, true);
    const take = async (bucketId: string) => pool.take([{ bucketId, limit: daily }], 1, 0);
    const idle = async () => {
      for (let sweeps = 0; sweeps < 60; sweeps++) {
        clock.nowMs += 50;
        await pool.sweep();
      }
    };
    return { pool, take, idle, fail: () => pending.reject(new Error("lost on purpose")) };
  };

  test("although the store denied it for a day", async () => {
    const { pool, take, idle } = open();
    for (let value = 0; value < 100; value++) {
      expect(await take(`denied ${value}`)).toMatchObject({ ok: false, retryAfterSeconds: 86_400 });
      await take(`granted ${value}`);
    }
    expect(pool.size()).toBe(200);
    await idle();
    expect(pool.size()).toBe(0);
    expect(await take("denied 1")).toMatchObject({ ok: false, retryAfterSeconds: 86_400 });
  });

  test("although an older one waits for the store", async () => {
    const { pool, take, idle, fail } = open();
    const waiting = take("pending");
    for (let value = 0; value < 100; value++) await take(`granted ${value}`);
    await idle();
    expect(pool.size()).toBe(1);
    fail();
    await waiting;
    await idle();
    expect(pool.size()).toBe(0);
  });
});

test.each([
  [1, true],
  [0, false],
])("without the store, a peek at a share of %d tokens is %s and takes nothing", async (remaining, ok) => {
  const costs: number[] = [];
  const pool = createLeasePool({
    store: { step: () => Promise.reject(new Error("lost on purpose")) },
    monotonicMs: () => 0,
    instanceId: "i",
    maxBuckets: 10,
    fallback: {
      take(_demands, cost) {
        costs.push(cost);
        return { ok: true, rates: [{ name: "n", capacity: 5, windowSeconds: 5, remaining }] };
      },
    },
  });
  expect(
    await pool.peek({ buckets: [{ bucketId: "b", limit: limitOf(5, 1, true) }], quotas: [] }, 0),
  ).toMatchObject({ ok });
  expect(costs).toEqual([0]);
});

describe("a bucket that is used four times a second", () => {
  const everyQuarter = async (
    pool: (number: number) => LeasePool,
    wait: (ms: number) => Promise<void>,
    limit: RateLimit,
  ) => {
    let admitted = 0;
    for (let calls = 0; calls < 40; calls++) {
      if ((await pool(0).take([{ bucketId: "b", limit }], 1, 0)).ok) admitted++;
      await wait(250);
    }
    return admitted;
  };

  test("needs a message for three of its requests at most, and loses no token", async () => {
    const { buckets, poolOf, wait, steps, close } = twoInstances();
    const limit = limitOf(100, 0.001, true);
    expect(await everyQuarter(poolOf, wait, limit)).toBe(40);
    expect(steps()).toBeLessThanOrEqual(40 / 3 + 4);
    await close();
    expect(buckets.get("b")?.levelMicro).toBeGreaterThanOrEqual(60 * MICRO);
  });

  test("holds nothing that another instance needs: once half of it is used, a request leases its cost only", async () => {
    const { poolOf, wait, close } = twoInstances();
    const limit = limitOf(100, 0.001, true);
    await poolOf(1).take([{ bucketId: "b", limit }], 55, 0);
    await everyQuarter(poolOf, wait, limit);
    expect((await poolOf(1).take([{ bucketId: "b", limit }], 5, 0)).ok).toBe(true);
    expect((await poolOf(1).take([{ bucketId: "b", limit }], 1, 0)).ok).toBe(false);
    await close();
  });
});
