import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createBreaker } from "../../src/core/limits/breaker.ts";
import type { LeasePool } from "../../src/core/limits/lease-pool.ts";
import { createLeasePool } from "../../src/core/limits/lease-pool.ts";
import { LEASE_LIFE_US } from "../../src/core/limits/leased-bucket.ts";
import type { QuotaAdmin, TakeOutcome } from "../../src/core/limits/ports.ts";
import type { Quota } from "../../src/core/policy/policy.ts";
import { createCalendars } from "../../src/core/quotas/calendar.ts";
import type { CounterUse } from "../../src/core/quotas/quota-counter.ts";
import { MIN_LIFE_US, newCounter, quotaStep } from "../../src/core/quotas/quota-counter.ts";
import type { QuotaDemand } from "../../src/core/quotas/quota-demand.ts";
import { quotaDemands } from "../../src/core/quotas/quota-demand.ts";
import type { QuotaExchange, QuotaThreshold } from "../../src/core/quotas/quota-exchange.ts";
import { createQuotaExchange } from "../../src/core/quotas/quota-exchange.ts";
import type { QuotaStep } from "../../src/core/quotas/quota-step.ts";
import type { RedisClient } from "../../src/redis/client.ts";
import { connectRedis } from "../../src/redis/client.ts";
import { createLeaseStore } from "../../src/redis/lease-store.ts";
import { counterFrom, createQuotaAdmin } from "../../src/redis/quota-admin.ts";
import { argumentsOf, createQuotaStore, QUOTA_SCRIPT, replyOf } from "../../src/redis/quota-store.ts";
import { pairs } from "../../src/redis/replies.ts";
import { createServerBreakers } from "../../src/redis/server-breakers.ts";
import { spreadOnOneServer } from "../../src/redis/spread-client.ts";
import type { TestedRedis } from "../support/redis.ts";
import { startRedis } from "../support/redis.ts";

let redis: TestedRedis;
const clients: RedisClient[] = [];
/** Does what Latchkey's own user may not. */
let admin: RedisClient;

beforeAll(async () => {
  redis = await startRedis();
  admin = await connectRedis({ url: redis.adminUrl, commandTimeoutMs: 5000 });
  for (let made = 0; made < 4; made++)
    clients.push(await connectRedis({ url: redis.url, commandTimeoutMs: 5000 }));
});

afterAll(async () => {
  await Promise.all([admin, ...clients].map((client) => client?.close()));
  await redis?.stop();
});

describe("the script", () => {
  /** The script itself, with a clock that the test sets: only the call for the time is replaced. */
  const withClock = QUOTA_SCRIPT.replace("redis.call('TIME')", "cjson.decode(table.remove(KEYS))");
  const HOUR_MS = 3_600_000;
  const BEGIN_MS = 500_000 * HOUR_MS;
  const step = fc.record({
    counter: fc.nat({ max: 1 }),
    advanceUs: fc.oneof(
      fc.integer({ min: 0, max: 2_000_000 }),
      fc.integer({ min: -3_000_000, max: 0 }),
      fc.constantFrom(HOUR_MS * 1000, -HOUR_MS * 1000, 10_000),
    ),
    /** Whether the instance's clock is an hour early or late. */
    skewHours: fc.constantFrom(0, 0, 0, -1, 1),
    /** The length of a window by the instance's policy. */
    hours: fc.constantFrom(1, 1, 2),
    limit: fc.constantFrom(0, 5, 100, 1000, 10 ** 12),
    extra: fc.constantFrom(0, 0, 7),
    asks: fc.boolean(),
    cost: fc.integer({ min: 0, max: 4 }),
    waiting: fc.integer({ min: 0, max: 60 }),
    ahead: fc.integer({ min: 0, max: 20 }),
    held: fc.integer({ min: 0, max: 12 }),
    settle: fc.array(fc.tuple(fc.nat({ max: 24 }), fc.integer({ min: 0, max: 6 })), { maxLength: 3 }),
    post: fc.option(
      fc.record({
        instance: fc.constantFrom("i", "j"),
        number: fc.integer({ min: 1, max: 4 }),
        after: fc.nat({ max: 2 }),
        hours: fc.constantFrom(-1, -0.5, 0, 0.5, 1),
        amount: fc.integer({ min: 0, max: 50 }),
      }),
      { nil: undefined },
    ),
    charge: fc.option(
      fc.record({
        id: fc.nat({ max: 8 }),
        amount: fc.constantFrom(0, 1, 30, 10 ** 12),
        reserved: fc.constantFrom(0, 0, 20, 40),
        /** Before the present time. */
        issuedSeconds: fc.constantFrom(0, 1, 2, 3, 3600, 7200),
        receivedSeconds: fc.constantFrom(0, 0, 1, 2, 3, 3600),
        isRefundable: fc.boolean(),
      }),
      { nil: undefined },
    ),
    again: fc.integer({ min: 0, max: 7 }).map((drawn) => drawn === 0),
  });
  const KEEP_MS = 86_400_000;

  function stepAt(
    nowMs: number,
    drawn: typeof step extends fc.Arbitrary<infer T> ? T : never,
    leaseId: string,
  ): QuotaStep {
    const lengthMs = drawn.hours * HOUR_MS;
    const startMs = Math.floor(nowMs / lengthMs) * lengthMs;
    const proposedMs = startMs + drawn.skewHours * lengthMs;
    const { post, cost, waiting, ahead, held } = drawn;
    return {
      limit: drawn.limit,
      extra: drawn.extra === 0 ? undefined : { units: drawn.extra, windowMs: startMs },
      windows: {
        startMs: proposedMs,
        endMs: proposedMs + lengthMs,
        nextEndMs: proposedMs + 2 * lengthMs,
      },
      settlements: drawn.settle.map(([lease, unspentTokens]) => ({ leaseId: `l${lease}`, unspentTokens })),
      request: drawn.asks ? { leaseId, cost, waiting, ahead, held } : undefined,
      posting: post && {
        instanceId: post.instance,
        sent: {
          subject: "s",
          number: post.number,
          after: post.after,
          amount: post.amount,
          window: startMs + post.hours * HOUR_MS,
        },
      },
      charge: drawn.charge && {
        ...drawn.charge,
        id: `c${drawn.charge.id}`,
        issuedMs: nowMs - drawn.charge.issuedSeconds * 1000,
        receivedMs: nowMs - drawn.charge.receivedSeconds * 1000,
        keepMs: KEEP_MS,
      },
    };
  }

  test("does what core/quotas/quota-counter does, on whatever history of two counters", async () => {
    const run = admin.script(withClock);
    const scripts = fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(scripts, async (history) => {
        let nowUs = (BEGIN_MS + HOUR_MS) * 1000 - 1_500_000;
        const counters = [newCounter(), newCounter()];
        await admin.command("FLUSHALL");
        const charges = new Set<string>();
        const rememberFor = (counter: number) => (id: string) => {
          const before = charges.size;
          return charges.add(`${counter} ${id}`).size > before;
        };
        let leases = 0;
        for (const steps of history) {
          nowUs += steps[0]?.advanceUs ?? 0;
          const clock = JSON.stringify([String(Math.floor(nowUs / 1e6)), String(nowUs % 1e6)]);
          const sent = steps.map((drawn) =>
            stepAt(Math.floor(nowUs / 1000), drawn, `l${drawn.again ? leases : ++leases}`),
          );
          const wanted = sent.map((one, index) => {
            const at = steps[index]?.counter ?? 0;
            const counter = counters[at];
            return counter && quotaStep(counter, one, nowUs, rememberFor(at));
          });
          const keys = steps.flatMap(({ counter, charge }) => [
            `counter${counter}`,
            ...(charge ? [`charges${counter}`] : []),
          ]);
          const args = [LEASE_LIFE_US, MIN_LIFE_US, ...sent.flatMap(argumentsOf)];
          const replies = await run([...keys, clock], args);
          if (!Array.isArray(replies)) throw new Error("the script returns a list");
          const got = steps.map((_, index) =>
            replyOf(replies.slice(14 * index, 14 * index + 14).map(Number)),
          );
          expect(got).toEqual(wanted);
        }
        for (const [index, counter] of counters.entries()) {
          const stored = counterFrom(pairs(await admin.command("HGETALL", `counter${index}`)));
          expect({ ...stored, reported: 0, posted: 0 }).toEqual({ ...counter, reported: 0, posted: 0 });
        }
      }),
      { numRuns: 150 },
    );
  });

  test.each([
    ["another type", ["SET", "latchkey:quota:key:q:x", "5"]],
    [
      "a window whose end in microseconds is no safe integer",
      ["HSET", "latchkey:quota:key:q:x", "window", String(2 ** 43), "used", "9"],
    ],
    ["a damaged count", ["HSET", "latchkey:quota:key:q:x", "window", "nan", "used", "-5", "l:a", "9 9"]],
  ])("replaces a counter of %s, and it expires a day after its window", async (_what, command) => {
    await admin.command("FLUSHALL");
    const [name = "", ...args] = command;
    await admin.command(name, ...args);
    const { pool, demand } = instanceOf(0, { name: "q", limit: 3 });
    expect(await taken(pool, demand("x"), 5)).toBe(3);
    const [ttlMs] = [Number(await admin.command("PTTL", "latchkey:quota:key:q:x"))];
    expect(ttlMs).toBeGreaterThan(24 * HOUR_MS);
  });

  test("an expired lease on top of the largest count is answered with a safe integer", async () => {
    await admin.command("FLUSHALL");
    const windowMs = createCalendars()({ every: "month", timeZone: "UTC" })(Date.now()).startMs;
    const used = String(Number.MAX_SAFE_INTEGER);
    await admin.command("HSET", "latchkey:quota:key:q:x", "window", windowMs, "used", used, "l:a", "9 9");
    const instance = instanceOf(0, { name: "q", limit: 3 });
    expect(await take(instance, instance.demand("x"))).toMatchObject({ ok: false, reason: "quota_exceeded" });
  });
});

interface Instance {
  readonly pool: LeasePool;
  readonly exchange: QuotaExchange;
  readonly demand: (subject: string) => QuotaDemand;
}

let instances = 0;

/** An instance on one of the connections, with a month or another window of a quota. */
function instanceOf(at: number, quota: Partial<Quota>, thresholds: QuotaThreshold[] = []): Instance {
  const client = clients[at];
  if (client === undefined) throw new Error("no such connection");
  const spread = spreadOnOneServer(client);
  const monotonicMs = () => performance.now();
  const newBreaker = () => createBreaker({ threshold: 3, probeEveryMs: 50 });
  const servers = createServerBreakers(spread, { newBreaker, monotonicMs });
  const instanceId = `i${instances++}`;
  const exchange = createQuotaExchange({
    store: createQuotaStore(spread, servers),
    storeNowMs: Date.now,
    monotonicMs,
    instanceId,
    fault: () => "deny",
    delayMs: delay,
    onThreshold: (threshold) => void thresholds.push(threshold),
  });
  const pool = createLeasePool({
    store: createLeaseStore(spread, servers),
    quotas: exchange,
    monotonicMs,
    instanceId,
    maxBuckets: 1000,
    fallback: { take: () => ({ ok: true, rates: [] }) },
  });
  const calendars = createCalendars();
  const whole: Quota = {
    name: "q",
    per: "key",
    limit: 1000,
    every: "month",
    timeZone: "UTC",
    unit: "requests",
    ...quota,
  };
  const demand = (subject: string) => {
    const [one] = quotaDemands([whole], { family: subject, role: "basic" }, calendars);
    return one ?? expect.fail("a demand");
  };
  return { pool, exchange, demand };
}

function take({ pool }: Pick<Instance, "pool">, demand: QuotaDemand, cost = 1) {
  return pool.take([], cost, Date.now(), [demand]);
}

/** How many of so many parallel requests are admitted. */
async function taken(pool: LeasePool, demand: QuotaDemand, requests: number): Promise<number> {
  return admitted(Array.from({ length: requests }, () => take({ pool }, demand)));
}

async function admitted(outcomes: readonly (TakeOutcome | Promise<TakeOutcome>)[]): Promise<number> {
  return (await Promise.all(outcomes)).filter(({ ok }) => ok).length;
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0);

describe("four instances on one Redis", () => {
  const four = (quota: Partial<Quota>) => [0, 1, 2, 3].map((at) => instanceOf(at, quota));

  test("admit exactly 1,000 of 5,000 parallel requests on a quota of 1,000", async () => {
    await admin.command("FLUSHALL");
    const fleet = four({ limit: 1000 });
    const counts = await Promise.all(fleet.map(({ pool, demand }) => taken(pool, demand("x"), 1250)));
    expect(sum(counts)).toBe(1000);
  });

  test("can use 99.9% of 10,000 one after the other, and never more than all", async () => {
    await admin.command("FLUSHALL");
    const fleet = four({ limit: 10_000 });
    const use = async (instance: Instance) => {
      let admittedHere = 0;
      const sweep = setInterval(() => void instance.pool.sweep(), 50);
      for (let denied = 0; denied < 40; ) {
        if ((await take(instance, instance.demand("x"))).ok) admittedHere++;
        else {
          denied++;
          await delay(50);
        }
      }
      clearInterval(sweep);
      return admittedHere;
    };
    const total = sum(await Promise.all(fleet.map(use)));
    expect(total).toBeGreaterThanOrEqual(9990);
    expect(total).toBeLessThanOrEqual(10_000);
  });

  test("admit at most the highest limit while a roll-out changes it from 1,000 to 10 and back", async () => {
    await admin.command("FLUSHALL");
    const [large, small, again] = [
      instanceOf(0, { limit: 1000 }),
      instanceOf(1, { limit: 10 }),
      instanceOf(2, { limit: 1000 }),
    ];
    const id = "x";
    const first = await taken(large.pool, large.demand(id), 500);
    await large.pool.close();
    expect([first, await taken(small.pool, small.demand(id), 50)]).toEqual([500, 0]);
    expect(await taken(again.pool, again.demand(id), 2000)).toBe(500);
  });

  test("report each threshold once, on one instance", async () => {
    await admin.command("FLUSHALL");
    const found: QuotaThreshold[] = [];
    const fleet = [0, 1, 2, 3].map((at) => instanceOf(at, { limit: 100 }, found));
    for (let sent = 0; sent < 130; sent++) {
      const instance = fleet[sent % 4];
      if (instance !== undefined) await take(instance, instance.demand("x"));
    }
    expect(found.map(({ percent, subject }) => [percent, subject])).toEqual([
      [80, "x"],
      [100, "x"],
    ]);
  });

  test("are listed with the limit that their last request had, whatever their subjects are called", async () => {
    await admin.command("FLUSHALL");
    const subjects = ["x", "a:b\n{c}", "%", ...Array.from({ length: 1200 }, (_, n) => `f${n}`)];
    const [first, raised] = [instanceOf(0, { limit: 10 }), instanceOf(1, { limit: 12 })];
    for (const subject of subjects) await take(first, first.demand(subject));
    expect(await taken(raised.pool, raised.demand("x"), 50)).toBe(11);
    await Promise.all([first.pool.close(), raised.pool.close()]);
    const client = clients[0] ?? expect.fail("a connection");
    const quotas: QuotaAdmin = createQuotaAdmin(spreadOnOneServer(client), async () => undefined);
    const uses: CounterUse[] = [];
    for await (const portion of quotas.uses()) uses.push(...portion);
    const byId = new Map(uses.map((use) => [use.counterId, use]));
    expect([...byId.keys()].sort()).toEqual(subjects.map((of) => first.demand(of).counterId).sort());
    expect(byId.get(first.demand("x").counterId)).toMatchObject({ used: 12, leased: 0, limit: 12 });
    expect(byId.get(first.demand("%").counterId)).toMatchObject({ used: 1, limit: 10 });
  });

  test("forget what was used after a reset, and drop their leases", async () => {
    await admin.command("FLUSHALL");
    const instance = instanceOf(0, { limit: 5 });
    const client = clients[0] ?? expect.fail("a connection");
    const quotas: QuotaAdmin = createQuotaAdmin(spreadOnOneServer(client), async (ids) => {
      for (const id of ids) instance.pool.forget(id);
    });
    const demand = instance.demand("x");
    expect(await taken(instance.pool, demand, 9)).toBe(5);
    const [level] = await quotas.levels([demand]);
    expect([level?.limitUnits, (level?.usedUnits ?? 0) + (level?.leasedUnits ?? 0)]).toEqual([5, 5]);
    await quotas.reset([demand]);
    expect(await taken(instance.pool, demand, 9)).toBe(5);
  });
});

test("an extra amount applies in its window, and raising a limit does not refill", async () => {
  await admin.command("FLUSHALL");
  const small = instanceOf(0, { limit: 10 });
  expect(await taken(small.pool, small.demand("x"), 50)).toBe(10);
  const raised = instanceOf(1, { limit: 100 });
  expect(await taken(raised.pool, raised.demand("x"), 200)).toBe(90);
  const extra = instanceOf(2, { limit: 100, extra: { units: 20, atMs: Date.now() } });
  expect(await taken(extra.pool, extra.demand("x"), 200)).toBe(20);
  const past = instanceOf(3, { limit: 100, extra: { units: 50, atMs: Date.now() - 40 * 86_400_000 } });
  expect(await taken(past.pool, past.demand("x"), 200)).toBe(0);
});

test("a denial costs neither the bucket nor the quota", async () => {
  await admin.command("FLUSHALL");
  const { pool, demand } = instanceOf(0, { limit: 3 });
  const bucket = {
    bucketId: "basic:burst:x",
    limit: { name: "burst", per: "key", capacity: 100, refillPerSecond: 1 / 3600, leased: true },
  } as const;
  const both = () => pool.take([bucket], 1, Date.now(), [demand("x")]);
  expect(await admitted(Array.from({ length: 50 }, both))).toBe(3);
  await pool.close();
  const other = instanceOf(1, { limit: 1000, name: "other" });
  const rest = await admitted(Array.from({ length: 200 }, () => other.pool.take([bucket], 1, Date.now())));
  expect(rest).toBe(97);
  // The bucket is empty now: the quota loses nothing.
  const third = instanceOf(2, { limit: 50, name: "third" });
  const denied = await Promise.all(
    Array.from({ length: 20 }, async () => third.pool.take([bucket], 1, Date.now(), [third.demand("x")])),
  );
  expect(new Set(denied.map((outcome) => (outcome.ok ? "allowed" : outcome.reason)))).toEqual(
    new Set(["rate_limited"]),
  );
  await third.pool.close();
  expect(await taken(third.pool, third.demand("x"), 80)).toBe(50);
});

test("a request that lacks both gets quota_exceeded with the longest wait, and a cost above the quota too", async () => {
  await admin.command("FLUSHALL");
  const { pool, demand } = instanceOf(0, { limit: 2, every: "hour" });
  const bucket = {
    bucketId: "basic:burst:x",
    limit: { name: "burst", per: "key", capacity: 2, refillPerSecond: 1, leased: true },
  } as const;
  const send = (cost: number) => pool.take([bucket], cost, Date.now(), [demand("x")]);
  expect([(await send(1)).ok, (await send(1)).ok]).toEqual([true, true]);
  const untilHour = Math.ceil((3_600_000 - (Date.now() % 3_600_000)) / 1000);
  for (const cost of [1, 3]) {
    const outcome = await send(cost);
    if (outcome.ok) throw new Error("nothing is left");
    expect(outcome.reason).toBe("quota_exceeded");
    expect(outcome.quota).toMatchObject({ name: "q", limit: 2 });
    expect(Math.abs(outcome.retryAfterSeconds - untilHour)).toBeLessThanOrEqual(1);
    expect(outcome.rates.map(({ name }) => name)).toEqual(["burst", "q"]);
  }
});
