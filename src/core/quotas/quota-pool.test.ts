import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createLeasePool } from "../limits/lease-pool.ts";
import type { BucketDemand, LocalBuckets, TakeOutcome } from "../limits/ports.ts";
import type { Quota } from "../policy/policy.ts";
import { createCalendars } from "./calendar.ts";
import type { QuotaCounter } from "./quota-counter.ts";
import { newCounter, quotaStep } from "./quota-counter.ts";
import { quotaDemands } from "./quota-demand.ts";
import { createQuotaExchange } from "./quota-exchange.ts";

/** A store whose messages arrive at once, and instances whose clocks are exact. */
function createFleet(beginsAt: string) {
  let nowMs = Date.parse(beginsAt);
  let isUp = true;
  let fault: "count" | "deny" = "count";
  let losesReplies = false;
  const counters = new Map<string, QuotaCounter>();
  const events = new Map<string, number>();
  const calendars = createCalendars();
  let steps = 0;
  const start = (instanceId: string, localBuckets?: LocalBuckets) => {
    const exchange = createQuotaExchange({
      keepMs: 60_000,
      store: {
        async step(counterId, step) {
          if (!isUp) throw new Error("the store is unavailable");
          steps++;
          const counter = counters.get(counterId) ?? newCounter();
          counters.set(counterId, counter);
          const reply = quotaStep(counter, step, nowMs * 1000);
          if (losesReplies) throw new Error("the reply is lost");
          return reply;
        },
      },
      storeNowMs: () => nowMs,
      monotonicMs: () => nowMs,
      instanceId,
      fault: () => fault,
      async delayMs(ms) {
        nowMs += ms;
      },
      observe: (event, units) => void events.set(event, (events.get(event) ?? 0) + units),
    });
    const pool = createLeasePool({
      quotas: exchange,
      store: { step: () => Promise.reject(new Error("no buckets")) },
      fallback: { take: () => ({ ok: true, rates: [] }) },
      monotonicMs: () => nowMs,
      instanceId,
      maxBuckets: 100,
      ...(localBuckets && { localBuckets }),
    });
    const send = async (quotas: readonly Partial<Quota>[], cost = 1, buckets: readonly BucketDemand[] = []) =>
      pool.take(buckets, cost, nowMs, quotaDemands(quotas.map(quotaOf), KEY, calendars));
    return { ...exchange, send, sweep: pool.sweep, forget: pool.forget };
  };
  return {
    start,
    events,
    used: (id: string) => counters.get(`quota/key:${id}:fam_x`)?.used,
    /** Units that are used or leased. */
    taken(id: string): number {
      const counter = counters.get(`quota/key:${id}:fam_x`) ?? newCounter();
      return [...counter.leases.values()].reduce((sum, { units }) => sum + units, counter.used);
    },
    steps: () => steps,
    /** A promoted replica that has received none of it. */
    loseAll: () => counters.clear(),
    pass(ms: number) {
      nowMs += ms;
    },
    set(state: { readonly isUp?: boolean; readonly fault?: typeof fault; readonly losesReplies?: boolean }) {
      isUp = state.isUp ?? isUp;
      fault = state.fault ?? fault;
      losesReplies = state.losesReplies ?? losesReplies;
    },
  };
}

const KEY = { family: "fam_x", role: "basic" };

function quotaOf(quota: Partial<Quota>): Quota {
  return { name: "q", per: "key", limit: 10, every: "month", timeZone: "UTC", unit: "requests", ...quota };
}

const verdict = (outcome: TakeOutcome) => (outcome.ok ? "allowed" : outcome.reason);

/** The verdicts of requests one after the other. */
async function verdicts(send: () => Promise<TakeOutcome>, requests: number): Promise<readonly string[]> {
  const found: string[] = [];
  for (let sent = 0; sent < requests; sent++) found.push(verdict(await send()));
  return found;
}

const allowed = (times: number) => Array.from({ length: times }, () => "allowed");
const exceeded = (times: number) => Array.from({ length: times }, () => "quota_exceeded");

describe("the last second of a window and the first of the next one", () => {
  test("a lease ends with its window, so nothing of it is spent in the next one", async () => {
    const fleet = createFleet("2026-11-30T23:59:59.500Z");
    const { send } = fleet.start("i");
    const quota = { limit: 1000 };
    // So much demand that units are leased ahead.
    for (let sent = 0; sent < 20; sent++) await send([quota]);
    fleet.pass(500);
    expect(await verdicts(() => send([quota]), 1010)).toEqual([...allowed(1000), ...exceeded(10)]);
    expect(fleet.used("q")).toBeLessThanOrEqual(1000);
  });

  test("a request of the last 20 ms waits for the next window and is counted there", async () => {
    const fleet = createFleet("2026-11-30T23:59:59.985Z");
    const { send } = fleet.start("i");
    expect(await verdicts(() => send([{ limit: 3 }]), 4)).toEqual([...allowed(3), ...exceeded(1)]);
    fleet.pass(2000);
    expect(fleet.used("q")).toBe(3);
  });

  test("an exhausted quota admits again when its window has ended, after Retry-After seconds", async () => {
    const fleet = createFleet("2026-11-30T23:58:00.250Z");
    const { send } = fleet.start("i");
    await verdicts(() => send([{ limit: 1 }]), 1);
    const denied = await send([{ limit: 1 }]);
    expect(denied).toMatchObject({
      ok: false,
      reason: "quota_exceeded",
      retryAfterSeconds: 120,
      quota: { name: "q", limit: 1, resetsAtMs: Date.parse("2026-12-01T00:00:00Z") },
    });
    fleet.pass(120_000);
    expect(verdict(await send([{ limit: 1 }]))).toBe("allowed");
  });
});

test("a month, a day and an hour that begin at the same instant count separately", async () => {
  const fleet = createFleet("2026-12-01T00:00:00.000Z");
  const { send, sweep } = fleet.start("i");
  const passTo = async (ms: number) => {
    // The leases of a denied request are returned.
    fleet.pass(300);
    await sweep();
    fleet.pass(ms - 300);
  };
  const all = [
    { name: "month", limit: 9 },
    { name: "day", limit: 6, every: "day" },
    { name: "hour", limit: 4, every: "hour" },
  ] as const;
  expect(await verdicts(() => send(all), 5)).toEqual([...allowed(4), ...exceeded(1)]);
  await passTo(3_600_000);
  expect(await verdicts(() => send(all), 3)).toEqual([...allowed(2), ...exceeded(1)]);
  await passTo(23 * 3_600_000);
  expect(await verdicts(() => send(all), 4)).toEqual([...allowed(3), ...exceeded(1)]);
});

test("a denial by one quota costs the others nothing", async () => {
  const fleet = createFleet("2026-11-10T00:00:00Z");
  const { send, sweep } = fleet.start("i");
  const both = [
    { name: "small", limit: 2 },
    { name: "large", limit: 50 },
  ];
  expect(await verdicts(() => send(both), 20)).toEqual([...allowed(2), ...exceeded(18)]);
  fleet.pass(300);
  await sweep();
  expect(await verdicts(() => send([{ name: "large", limit: 50 }]), 49)).toEqual([
    ...allowed(48),
    ...exceeded(1),
  ]);
});

test("a subject that gets another plan in mid-window keeps what it has used", async () => {
  const fleet = createFleet("2026-11-10T00:00:00Z");
  const { send } = fleet.start("i");
  expect(await verdicts(() => send([{ limit: 10 }]), 10)).toEqual(allowed(10));
  expect(await verdicts(() => send([{ limit: 12 }]), 3)).toEqual([...allowed(2), ...exceeded(1)]);
  expect(await verdicts(() => send([{ limit: 10 }]), 1)).toEqual(exceeded(1));
});

test("no two limits of two subjects share their leases, whatever their names are", () => {
  const text = fc.string({ unit: fc.constantFrom("1", "2", " ", ":", "q", "quota/key:q:"), maxLength: 6 });
  const extra = fc.option(fc.record({ units: fc.nat({ max: 20 }), atMs: fc.constant(0) }), {
    nil: undefined,
  });
  const drawn = fc.record({ family: text, limit: fc.nat({ max: 20 }), extra });
  const holderOf = ({ family, limit, extra: more }: typeof drawn extends fc.Arbitrary<infer T> ? T : never) =>
    quotaDemands(
      [quotaOf({ limit, ...(more && { extra: more }) })],
      { family, role: "r" },
      createCalendars(),
    )[0]?.holderId;
  fc.assert(
    fc.property(drawn, drawn, (one, other) => {
      fc.pre(JSON.stringify(one) !== JSON.stringify(other));
      expect(holderOf(one)).not.toBe(holderOf(other));
    }),
    { numRuns: 300 },
  );
});

test("a quota of 0, and a cost above the quota, are denied without asking the store", async () => {
  const fleet = createFleet("2026-11-10T00:00:00Z");
  const { send } = fleet.start("i");
  expect(await verdicts(() => send([{ limit: 0 }]), 2)).toEqual(exceeded(2));
  expect(await verdicts(() => send([{ limit: 5 }], 6), 2)).toEqual(exceeded(2));
  expect(verdict(await send([{ limit: 0 }], 0))).toBe("allowed");
  expect(fleet.steps()).toBe(0);
});

test("a flood of denied requests asks the store about once a minute", async () => {
  const fleet = createFleet("2026-11-10T00:00:00Z");
  const { send } = fleet.start("i");
  await verdicts(() => send([{ limit: 1 }]), 3);
  fleet.pass(1500);
  await verdicts(() => send([{ limit: 1 }]), 3);
  const before = fleet.steps();
  for (let second = 0; second < 50; second++) {
    fleet.pass(1000);
    await verdicts(() => send([{ limit: 1 }]), 20);
  }
  expect(fleet.steps() - before).toBeLessThanOrEqual(2);
});

test("an instance that is alone denies a request only if the quota lacks its cost, whatever its own leases hold", async () => {
  const cost = fc.oneof(fc.constant(1), fc.integer({ min: 2, max: 200 }));
  const step = fc.record({ cost, sweeps: fc.constantFrom(0, 0, 0, 1, 5, 18) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80 }), async (steps) => {
      const fleet = createFleet("2026-11-10T00:00:00Z");
      const { send, sweep } = fleet.start("i");
      let left = 2000;
      for (const { cost: wanted, sweeps } of steps) {
        const { ok } = await send([{ limit: 2000 }], wanted);
        expect(ok).toBe(wanted <= left);
        if (ok) left -= wanted;
        for (let swept = 0; swept < sweeps; swept++) {
          fleet.pass(50);
          await sweep();
        }
      }
    }),
    { numRuns: 200 },
  );
});

test("at most 1% of what is left is held ahead, however high the demand is", async () => {
  const fleet = createFleet("2026-11-10T00:00:00Z");
  const { send } = fleet.start("i");
  let most = 0;
  for (let sent = 1; sent <= 900; sent++) {
    const outcome = await send([{ limit: 1000 }]);
    expect(outcome.rates[0]?.remaining).toBe(1000 - sent);
    // The request has spent one unit of the lease.
    const heldAhead = fleet.taken("q") - sent;
    most = Math.max(most, heldAhead);
    expect(heldAhead).toBeLessThanOrEqual(Math.floor((1000 - sent) / 100) + 1);
  }
  expect(most).toBeGreaterThan(5);
});

test("a burst is served whole, and takes no more ahead than single requests do", async () => {
  const fleet = createFleet("2026-11-10T00:00:00Z");
  const { send } = fleet.start("i");
  // So that units are also requested in advance.
  for (let sent = 0; sent < 100; sent++) await send([{ limit: 1000 }]);
  const before = fleet.steps();
  const burst = await Promise.all(Array.from({ length: 600 }, () => send([{ limit: 1000 }])));
  expect(burst.every(({ ok }) => ok)).toBe(true);
  expect(fleet.steps() - before).toBeLessThanOrEqual(4);
  const other = fleet.start("j");
  const rest = await verdicts(() => other.send([{ limit: 1000 }]), 300);
  expect(rest.filter((one) => one === "allowed").length).toBeGreaterThanOrEqual(297);
});

test("a nearly exhausted quota is asked about once per request, and not in advance", async () => {
  const fleet = createFleet("2026-11-10T00:00:00Z");
  const { send } = fleet.start("i");
  expect(await verdicts(() => send([{ limit: 60 }]), 60)).toEqual(allowed(60));
  expect(fleet.steps()).toBeLessThanOrEqual(62);
});

test("a request whose bucket is empty is quota_exceeded if its quota is exhausted too, by any instance", async () => {
  const fleet = createFleet("2026-11-10T00:00:00Z");
  const other = fleet.start("i");
  const { send } = fleet.start("j", { waitSeconds: () => 3, take: () => ({ ok: true, rates: [] }) });
  const bucket = { name: "b", per: "key", capacity: 1, refillPerSecond: 1, leased: true } as const;
  const both = (quota: Partial<Quota>) => send([quota], 1, [{ bucketId: "b", limit: bucket }]);
  const limited = await both({ limit: 2 });
  expect(limited).toMatchObject({ reason: "rate_limited", retryAfterSeconds: 3 });
  await verdicts(() => other.send([{ name: "used", limit: 2 }]), 2);
  const denied = await both({ name: "used", limit: 2 });
  expect(denied).toMatchObject({ reason: "quota_exceeded", quota: { name: "used" } });
  // A flood against the bucket does not ask about the quota each time.
  const before = fleet.steps();
  await verdicts(() => both({ limit: 2 }), 50);
  expect(fleet.steps() - before).toBeLessThanOrEqual(1);
});

describe("without the store", () => {
  test("count serves, and posts the debt once when the store is back, although replies are lost", async () => {
    const fleet = createFleet("2026-11-10T00:00:00Z");
    const { send, post, waiting } = fleet.start("i");
    await verdicts(() => send([{ limit: 100 }]), 5);
    fleet.pass(2000);
    fleet.set({ isUp: false });
    expect(await verdicts(() => send([{ limit: 100 }]), 20)).toEqual(allowed(20));
    fleet.set({ isUp: true, losesReplies: true });
    for (let lost = 0; lost < 3; lost++) await expect(post()).rejects.toThrow();
    fleet.set({ losesReplies: false });
    await post();
    expect([fleet.used("q"), waiting()]).toEqual([25, 0]);
    expect(fleet.events.get("counted")).toBe(20);
    expect(fleet.events.get("posted")).toBe(20);
  });

  test.each([
    ["is posted again after a failover", 5],
    ["is not posted again after a reset", undefined],
  ])("a debt that was posted %s", async (_, usedThen) => {
    const fleet = createFleet("2026-11-15T00:00:00Z");
    const one = fleet.start("a");
    fleet.set({ isUp: false });
    for (let count = 0; count < 5; count++) await one.send([{ name: "q", limit: 10 }]);
    fleet.set({ isUp: true });
    await one.post();
    expect(fleet.used("q")).toBe(5);
    fleet.loseAll();
    if (usedThen === undefined) one.forget("quota/key:q:fam_x");
    one.replay();
    await one.post();
    expect(fleet.used("q")).toBe(usedThen);
    expect(fleet.events.get("posted")).toBe(5);
  });

  test("the debt excludes what leases cover", async () => {
    const fleet = createFleet("2026-11-10T00:00:00Z");
    const { send, post } = fleet.start("i");
    for (let sent = 0; sent < 50; sent++) await send([{ limit: 100_000 }]);
    fleet.set({ isUp: false });
    await verdicts(() => send([{ limit: 100_000 }]), 300);
    expect(fleet.events.get("counted")).toBeLessThan(300);
    fleet.pass(2000);
    fleet.set({ isUp: true });
    await post();
    fleet.pass(2000);
    await send([{ limit: 100_000 }]);
    expect(fleet.used("q")).toBe(350);
  });

  test("deny denies, and an instance that knows the quota to be exhausted goes on denying until the window ends", async () => {
    const fleet = createFleet("2026-11-30T23:00:00Z");
    const { send } = fleet.start("i");
    await verdicts(() => send([{ limit: 2 }]), 3);
    fleet.pass(120_000);
    fleet.set({ isUp: false });
    expect(await verdicts(() => send([{ limit: 2 }]), 2)).toEqual(exceeded(2));
    fleet.set({ fault: "deny" });
    expect(await verdicts(() => send([{ name: "other" }]), 1)).toEqual(["limits_unavailable"]);
    fleet.set({ fault: "count" });
    fleet.pass(3_600_000);
    expect(await verdicts(() => send([{ limit: 2 }]), 3)).toEqual([...allowed(2), ...exceeded(1)]);
  });

  test("a window that ends meanwhile takes its debt with it", async () => {
    const fleet = createFleet("2026-11-30T23:59:50Z");
    const { send, post, waiting } = fleet.start("i");
    fleet.set({ isUp: false });
    await verdicts(() => send([{ limit: 100 }]), 30);
    fleet.pass(20_000);
    await verdicts(() => send([{ limit: 100 }]), 7);
    fleet.set({ isUp: true });
    await send([{ limit: 100 }]);
    await post();
    fleet.pass(2000);
    await send([{ limit: 100 }]);
    expect([fleet.used("q"), waiting(), fleet.events.get("lost")]).toEqual([8, 0, 30]);
  });

  test.each([
    ["by no request yet", 0, 37],
    ["by a request of the old policy", 1, 38],
  ])(
    "a debt counts in a longer window of a new policy, in a counter that was entered %s",
    async (_, before, used) => {
      const fleet = createFleet("2026-11-10T12:00:00Z");
      const { send, post, waiting } = fleet.start("i");
      const ofEvery = (every: Quota["every"]) => () => send([{ limit: 100, every }]);
      await verdicts(ofEvery("day"), before);
      fleet.pass(2000);
      fleet.set({ isUp: false });
      await verdicts(ofEvery("day"), 30);
      await verdicts(ofEvery("month"), 6);
      fleet.pass(2000);
      fleet.set({ isUp: true });
      await verdicts(ofEvery("month"), 1);
      await post();
      expect([fleet.taken("q"), waiting(), fleet.events.get("lost")]).toEqual([used, 0, undefined]);
    },
  );
});

test("what an instance knows of a counter is forgotten with a reset", async () => {
  const fleet = createFleet("2026-11-10T00:00:00Z");
  const { send, forget } = fleet.start("i");
  await verdicts(() => send([{ limit: 2 }]), 3);
  fleet.set({ isUp: false });
  forget("quota/key:q:fam_x");
  expect(await verdicts(() => send([{ limit: 2 }]), 1)).toEqual(allowed(1));
});
