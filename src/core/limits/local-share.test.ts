import { describe, expect, test } from "vitest";
import type { Outage } from "./breaker.ts";
import type { Membership } from "./local-share.ts";
import { createFaultPolicy, createLocalShares } from "./local-share.ts";
import type { TakeOutcome } from "./ports.ts";

const LOCAL_MAX_MS = 600_000;
const limit = { name: "n", per: "key", capacity: 10, refillPerSecond: 4, leased: true } as const;

const outageSince = (sinceMs: number): Outage => ({ sinceMs, isOver: () => false });

function instanceOf(membership: Membership | undefined, sinceMs = 1000) {
  const clock = { nowMs: sinceMs, outages: new Map([["b", outageSince(sinceMs)]]) };
  const shares = createLocalShares({
    membership: () => membership,
    outageOf: (bucketId) => clock.outages.get(bucketId) ?? clock.outages.get("b"),
    monotonicMs: () => clock.nowMs,
    localMaxMs: () => LOCAL_MAX_MS,
    maxBuckets: 2,
  });
  const take = (
    bucketId = "b",
    cost = 1,
    of: typeof limit | { readonly capacity: number } = limit,
  ): TakeOutcome => {
    const outcome = shares.take([{ bucketId, limit: { ...limit, ...of } }], cost, 0);
    if (outcome instanceof Promise) throw new Error("a share responds without a promise");
    return outcome;
  };
  const takeAll = (ids: readonly string[], cost: number) =>
    shares.take(
      ids.map((bucketId) => ({ bucketId, limit })),
      cost,
      0,
    );
  return { clock, shares, take, takeAll };
}

/** The shares of an instance that was alone just before. */
function sharesOfOneMember(
  monotonicMs: () => number,
  outageOf: (bucketId: string) => Outage | undefined,
  maxBuckets: number,
) {
  return createLocalShares({
    membership: () => ({ members: 1, contactMs: monotonicMs(), counted: true }),
    outageOf,
    monotonicMs,
    localMaxMs: () => LOCAL_MAX_MS,
    maxBuckets,
  });
}

const known: Membership = { members: 4, contactMs: 500, counted: true };

describe("while the store is unavailable", () => {
  test("a share starts empty and refills at r/N, up to C/N", () => {
    const { clock, take } = instanceOf(known);
    expect(take()).toMatchObject({ ok: false, reason: "rate_limited", retryAfterSeconds: 1 });
    clock.nowMs += 1000;
    expect([take().ok, take().ok]).toEqual([true, false]);
    clock.nowMs += 60_000;
    expect([take().ok, take().ok, take().ok]).toEqual([true, true, false]);
  });

  test("any four instances together admit at most r·outage + C", () => {
    const fleet = [1, 2, 3, 4].map(() => instanceOf(known));
    let admitted = 0;
    for (let ms = 0; ms < 30_000; ms += 50) {
      for (const { clock, take } of fleet) {
        clock.nowMs += 50;
        if (take().ok) admitted++;
      }
    }
    expect(admitted).toBeLessThanOrEqual(limit.capacity + limit.refillPerSecond * 30);
    expect(admitted).toBeGreaterThan(100);
  });

  test("a share refills once for the same time, however the outages of its servers overlap", () => {
    const begin = (sinceMs: number) => {
      let over = false;
      return { sinceMs, isOver: () => over, end: () => (over = true) };
    };
    let nowMs = 1000;
    const outages = new Map<string, ReturnType<typeof begin>>();
    const shares = sharesOfOneMember(
      () => nowMs,
      (bucketId) => outages.get(bucketId),
      10,
    );
    const take = (...ids: string[]) => {
      const outcome = shares.take(
        ids.map((bucketId) => ({ bucketId, limit })),
        1,
        0,
      );
      return "ok" in outcome && outcome.ok;
    };
    outages.set("lost", begin(nowMs));
    nowMs += 2000;
    // The server of `other` responds. It is served with the bucket that is lost, from its share of this outage.
    let admitted = 0;
    while (take("lost", "other")) admitted++;
    expect(admitted).toBe(8);
    // With a bucket of a third server that is lost for as long, the share of this time has been served.
    outages.set("lost too", begin(1000));
    expect(take("lost too", "other")).toBe(false);
    // Its own server fails too, later: nothing has been refilled since.
    outages.set("other", begin(nowMs));
    expect(take("other")).toBe(false);
    nowMs += 250;
    expect([take("other"), take("other")]).toEqual([true, false]);
    // An outage that is over grants nothing, and the next one starts empty.
    outages.get("other")?.end();
    outages.delete("other");
    expect(take("other")).toBe(false);
    outages.set("other", begin(nowMs));
    expect(take("other")).toBe(false);
  });

  test("a request takes from all of its shares or from none, and its rates say what is left", () => {
    const { clock, takeAll } = instanceOf(known);
    clock.nowMs += 2000;
    const rate = { name: "n", capacity: 10, windowSeconds: 3 };
    expect(takeAll(["b", "c"], 1)).toEqual({
      ok: true,
      rates: [
        { ...rate, remaining: 1 },
        { ...rate, remaining: 1 },
      ],
    });
    expect(takeAll(["b"], 1)).toEqual({ ok: true, rates: [{ ...rate, remaining: 0 }] });
    expect(takeAll(["b", "c"], 1)).toEqual({
      ok: false,
      reason: "rate_limited",
      retryAfterSeconds: 1,
      rates: [
        { ...rate, remaining: 0 },
        { ...rate, remaining: 1 },
      ],
    });
    expect(takeAll(["c"], 1)).toMatchObject({ ok: true });
    expect(takeAll(["c"], 2)).toMatchObject({ ok: false, retryAfterSeconds: 2 });
    expect(takeAll(["b", "c"], 0)).toMatchObject({ ok: true });
  });

  test("the last contact may be as old as faults.local_max", () => {
    const { clock, take } = instanceOf({ ...known, contactMs: 2000 - LOCAL_MAX_MS });
    clock.nowMs += 1000;
    expect(take()).toMatchObject({ ok: true });
    clock.nowMs++;
    expect(take()).toEqual({ ok: false, reason: "limits_unavailable", retryAfterSeconds: 1, rates: [] });
  });

  test("a share of exactly one token, or of the cost, admits", () => {
    const { clock, take } = instanceOf({ ...known, members: 10 });
    clock.nowMs += 100_000;
    expect([take("b", 1).ok, take("b", 0).ok]).toEqual([true, true]);
    const five = instanceOf({ ...known, members: 2 });
    five.clock.nowMs += 100_000;
    expect(five.take("b", 5)).toMatchObject({ ok: true });
    // Below one token it could never admit, so it does not admit a cost of 0 either.
    expect(instanceOf({ ...known, members: 11 }).take("b", 0)).toMatchObject(denied);
  });

  test("a request with one share below a token is denied, whatever the others hold", () => {
    const { clock, shares } = instanceOf(known);
    clock.nowMs += 100_000;
    const small = { ...limit, capacity: 3 };
    const demands = [
      { bucketId: "b", limit },
      { bucketId: "c", limit: small },
    ];
    expect(shares.take(demands, 1, 0)).toMatchObject(denied);
  });

  test("shares are forgotten when all of their outages are over, and not before", () => {
    let nowMs = 1000;
    const outages: { readonly sinceMs: number; over: boolean; isOver(): boolean }[] = [];
    const begin = (sinceMs: number) => {
      const outage = { sinceMs, over: false, isOver: () => outage.over };
      outages.push(outage);
      return outage;
    };
    const shares = sharesOfOneMember(
      () => nowMs,
      () => outages.at(-1),
      2,
    );
    const take = (bucketId: string) => shares.take([{ bucketId, limit }], 0, 0);
    begin(nowMs);
    nowMs += 1000;
    expect([take("a"), take("b"), take("c")]).toMatchObject([{ ok: true }, { ok: true }, denied]);
    const second = begin(nowMs);
    expect(take("c")).toMatchObject(denied);
    // The first outage goes on, so nothing is forgotten with the second one.
    second.over = true;
    begin(nowMs);
    expect(take("c")).toMatchObject(denied);
    for (const outage of outages) outage.over = true;
    begin(nowMs);
    expect([take("c"), take("d"), take("a")]).toMatchObject([{ ok: true }, { ok: true }, denied]);
  });

  test("of a bucket whose server responds, the newest outage of the request's servers counts", () => {
    let nowMs = 1000;
    const outages = new Map([
      ["old", outageSince(1000)],
      ["new", outageSince(2000)],
    ]);
    const shares = sharesOfOneMember(
      () => nowMs,
      (bucketId) => outages.get(bucketId),
      10,
    );
    nowMs = 2500;
    for (const order of [
      ["old", "new", "up"],
      ["new", "old", "up too"],
    ]) {
      const outcome = shares.take(
        order.map((bucketId) => ({ bucketId, limit })),
        0,
        0,
      );
      const left = "rates" in outcome ? outcome.rates.map(({ remaining }) => remaining) : [];
      expect(left).toEqual(order.map((bucketId) => (bucketId === "old" ? 6 : 2)));
    }
  });

  const denied = { ok: false, reason: "limits_unavailable" };
  test.each([
    ["the instance does not know its fleet", undefined],
    ["not all members have counted the instance", { ...known, counted: false }],
    ["its last contact is too long ago", { ...known, contactMs: 500 - LOCAL_MAX_MS }],
  ])("no share is used if %s", (_what, membership) => {
    const { clock, take } = instanceOf(membership);
    clock.nowMs += 1000;
    expect(take()).toMatchObject(denied);
  });

  test("a share below one token, or below the cost, denies", () => {
    const { clock, take } = instanceOf({ ...known, members: 11 });
    clock.nowMs += 100_000;
    expect(take()).toMatchObject(denied);
    const two = instanceOf(known);
    two.clock.nowMs += 100_000;
    expect(two.take("b", 3)).toMatchObject(denied);
  });

  test("a second outage starts with empty shares, and memory is bounded", () => {
    const { clock, take } = instanceOf(known);
    clock.nowMs += 10_000;
    expect(take().ok).toBe(true);
    clock.outages.set("b", outageSince(clock.nowMs));
    expect(take()).toMatchObject({ ok: false, reason: "rate_limited" });
    clock.nowMs += 10_000;
    expect([take("b").ok, take("c").ok]).toEqual([true, true]);
    expect(take("d")).toMatchObject(denied);
  });
});

test("faults.limits decides: deny denies, allow admits, local uses the share", async () => {
  const local = {
    take: (): TakeOutcome => ({ ok: false, reason: "rate_limited", retryAfterSeconds: 9, rates: [] }),
  };
  const outcome = (mode: "local" | "deny" | "allow") => createFaultPolicy(() => mode, local).take([], 1, 0);
  expect(await outcome("deny")).toMatchObject({ ok: false, reason: "limits_unavailable" });
  expect(await outcome("allow")).toEqual({ ok: true, rates: [] });
  expect(await outcome("local")).toMatchObject({ retryAfterSeconds: 9 });
});
