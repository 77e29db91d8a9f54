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
  return { clock, take };
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
