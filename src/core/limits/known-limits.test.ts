import { describe, expect, test } from "vitest";
import { quotaDemand } from "../../../test/support/quota-demand.ts";
import type { RateLimit } from "../policy/policy.ts";
import { createKnownLimits } from "./known-limits.ts";
import type { SharedLimit } from "./lease-exchange.ts";
import { availableTokens } from "./lease-holder.ts";
import { beginLeaseRequest, completeLeaseRequest } from "./lease-request.ts";

const limit: RateLimit = { name: "n", per: "key", capacity: 10, refillPerSecond: 1, leased: true };
function open(max = 3, isReachable = true) {
  const returned: SharedLimit[] = [];
  const known = createKnownLimits(max, {
    requestTokens: async () => true,
    async returnLeases(shared) {
      returned.push(shared);
      if (isReachable) known.deactivate(shared);
    },
  });
  const bucket = (bucketId: string, nowMs = 0, of = limit) =>
    known.findBucket({ bucketId, limit: of }, nowMs);
  const ids = () => [...known.all()].map(({ id }) => id);
  return { known, returned, bucket, ids };
}

function hold(shared: SharedLimit, tokens: number): void {
  beginLeaseRequest(shared.holder, 1, "l", 0);
  completeLeaseRequest(shared.holder, { grantedTokens: tokens, waitUs: 0, leasesOutstanding: false }, 0);
}

describe("a bucket", () => {
  test("is one while its limit is the same object, and a new policy returns its leases", () => {
    const { known, returned, bucket } = open();
    const first = bucket("a");
    expect(bucket("a")).toBe(first);
    expect(first).toMatchObject({ id: "a", limit, pendingReturns: 0, pendingRequest: undefined });
    hold(first, 4);
    const second = bucket("a", 1, { ...limit });
    expect(second).not.toBe(first);
    expect([availableTokens(first.holder, 0), returned]).toEqual([0, [first]]);
    expect([...known.all()]).toEqual([second]);
    expect([...known.active()]).toEqual([second]);
  });

  test("that was removed stays active until its leases are returned", () => {
    const { known, bucket } = open(3, false);
    const first = bucket("a");
    hold(first, 4);
    const second = bucket("a", 1, { ...limit });
    expect([[...known.active()], [...known.all()], known.size()]).toEqual([
      [first, second],
      [second, first],
      1,
    ]);
    known.deactivate(first);
    expect([...known.all()]).toEqual([second]);
  });

  test("of another id is another one", () => {
    const { returned, bucket, ids } = open();
    expect(bucket("a")).not.toBe(bucket("b"));
    expect([ids(), returned]).toEqual([["a", "b"], []]);
  });
});

describe("a counter", () => {
  test("is one while its limit and its calendar are the same", () => {
    const { known, returned } = open();
    const demand = quotaDemand();
    const first = known.findCounter(demand, 0);
    expect(known.findCounter(quotaDemand(), 0)).toBe(first);
    expect(first.quota).toBe(demand);
    expect(first.holder.limit).toMatchObject({ capacity: 50, leased: true });
    hold(first, 4);
    const second = known.findCounter(quotaDemand({ timeZone: "Europe/Berlin" }), 1);
    expect(second).not.toBe(first);
    expect([availableTokens(first.holder, 0), returned]).toEqual([0, [first]]);
    const larger = known.findCounter(quotaDemand({ limit: 60, timeZone: "Europe/Berlin" }), 1);
    expect([known.size(), returned]).toEqual([2, [first]]);
    expect([...known.all()]).toEqual([second, larger]);
  });

  test("with extra units has a capacity that includes them", () => {
    const demand = quotaDemand({ extra: { units: 7, atMs: 0 } });
    expect(open().known.findCounter(demand, 0).holder.limit.capacity).toBe(57);
  });
});

describe("above the maximum", () => {
  test("the least recently used limit goes, with its leases", () => {
    const { known, returned, bucket, ids } = open(2);
    const a = bucket("a", 0);
    bucket("b", 1);
    expect([ids(), returned]).toEqual([["a", "b"], []]);
    bucket("a", 60);
    hold(a, 4);
    bucket("c", 61);
    expect(ids()).toEqual(["a", "c"]);
    bucket("d", 62);
    expect([ids(), returned.map(({ id }) => id)]).toEqual([
      ["c", "d"],
      ["b", "a"],
    ]);
    expect(availableTokens(a.holder, 62)).toBe(0);
    expect([...known.active()].map(({ id }) => id)).toEqual(["c", "d"]);
  });

  test("a use within 50 ms of the last move does not move a limit again", () => {
    for (const [usedMs, order] of [
      [49, ["a", "b"]],
      [50, ["b", "a"]],
    ] as const) {
      const { bucket, ids } = open();
      bucket("a", 0);
      bucket("b", 1);
      bucket("a", usedMs);
      expect(ids()).toEqual(order);
    }
  });
});

describe("an unused limit", () => {
  test("is forgotten a second after its last move if nothing of it is active", () => {
    const { known, returned, bucket, ids } = open();
    known.deactivate(bucket("a", 0));
    bucket("active", 1);
    known.deactivate(bucket("b", 2));
    known.forgetUnused(999);
    expect(ids()).toEqual(["a", "active", "b"]);
    known.forgetUnused(1000);
    expect(ids()).toEqual(["active", "b"]);
    known.forgetUnused(1002);
    expect([ids(), known.size(), returned]).toEqual([["active"], 1, []]);
  });

  test("is active again with its next use", () => {
    const { known, bucket } = open();
    const a = bucket("a", 0);
    known.deactivate(a);
    expect([...known.active()]).toEqual([]);
    bucket("a", 10);
    expect([...known.active()]).toEqual([a]);
  });
});

describe("a reset", () => {
  test("forgets a bucket without returning its leases", () => {
    const { known, returned, bucket, ids } = open();
    bucket("a");
    bucket("b");
    known.forget("a");
    known.forget("unknown");
    expect([ids(), returned]).toEqual([["b"], []]);
    expect([...known.active()].map(({ id }) => id)).toEqual(["b"]);
  });

  test("of a counter forgets every limit of it, and only those that are still known", () => {
    const { known, bucket, returned } = open(10);
    const [small, large] = [quotaDemand(), quotaDemand({ limit: 60 })];
    const other = known.findCounter(quotaDemand({ name: "other" }), 0);
    bucket("a");
    known.findCounter(small, 0);
    known.findCounter(large, 0);
    known.forget(small.counterId);
    expect([...known.all()].map(({ id }) => id)).toEqual([other.id, "a"]);
    const again = known.findCounter(large, 100);
    known.forget(large.counterId);
    expect([...known.all()]).not.toContain(again);
    expect(returned).toEqual([]);
  });

  test("of one limit of a counter keeps the others", () => {
    const { known } = open();
    const [small, large] = [quotaDemand(), quotaDemand({ limit: 60 })];
    known.findCounter(small, 0);
    const kept = known.findCounter(large, 0);
    known.forget(small.holderId);
    expect([...known.all()]).toEqual([kept]);
    known.forget(large.counterId);
    expect([...known.all()]).toEqual([]);
  });
});
