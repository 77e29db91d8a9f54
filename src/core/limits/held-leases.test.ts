import { describe, expect, test } from "vitest";
import { aheadTokens, recordDemand, shouldPrefetch } from "./lease-demand.ts";
import type { LeaseHolder } from "./lease-holder.ts";
import {
  availableTokens,
  createLeaseHolder,
  dueInMs,
  emptyForMs,
  isDormant,
  returnAllLeases,
  returnIdleLeases,
  spendTokens,
} from "./lease-holder.ts";
import {
  beginLeaseRequest,
  completeLeaseRequest,
  failLeaseRequest,
  takeSettlements,
} from "./lease-request.ts";

const limit = { capacity: 100, refillPerSecond: 2, leased: true };

function grant(
  holder: LeaseHolder,
  id: string,
  grantedTokens: number,
  nowMs: number,
  isHalfFull = false,
): void {
  beginLeaseRequest(holder, 1, id, nowMs);
  completeLeaseRequest(holder, { grantedTokens, waitUs: 0, leasesOutstanding: false, isHalfFull }, nowMs);
}

/** A holder whose leases were granted at 0, 100, 200 ms and so on: each one can be spent for 900 ms. */
function holderWith(...tokens: readonly number[]): LeaseHolder {
  const holder = createLeaseHolder(limit, 0);
  for (const [at, granted] of tokens.entries()) grant(holder, `l${at}`, granted, at * 100);
  return holder;
}

const unspent = (holder: LeaseHolder) =>
  takeSettlements(holder).map(({ leaseId, unspentTokens }) => [leaseId, unspentTokens]);

describe("spending", () => {
  test("takes from the lease that ends first, then from the next one", () => {
    const holder = holderWith(5, 7, 9);
    spendTokens(holder, 6, 300);
    expect(unspent(holder)).toEqual([["l0", 0]]);
    expect([899, 999, 1000, 1100].map((ms) => availableTokens(holder, ms))).toEqual([15, 15, 9, 0]);
    expect(unspent(holder)).toEqual([
      ["l1", 6],
      ["l2", 9],
    ]);
  });

  test("can take everything that is held, and never more", () => {
    const holder = holderWith(5, 7);
    spendTokens(holder, 12, 300);
    expect(availableTokens(holder, 300)).toBe(0);
    expect(() => spendTokens(holder, 1, 300)).toThrow("spent more tokens than were held");
    expect(() => spendTokens(holderWith(5, 7), 13, 300)).toThrow("spent more tokens than were held");
  });

  test("dates the last spending of each lease, and only of those that it took from", () => {
    const holder = holderWith(5, 7, 9);
    spendTokens(holder, 6, 310);
    returnAllLeases(holder);
    expect(takeSettlements(holder).map(({ spentMs }) => spentMs)).toEqual([310, 310, 200]);
  });
});

describe("a denial", () => {
  const denied = (leasesOutstanding: boolean) => {
    const holder = createLeaseHolder(limit, 0);
    beginLeaseRequest(holder, 4, "a", 0);
    completeLeaseRequest(holder, { grantedTokens: 0, waitUs: 700_000, leasesOutstanding }, 100);
    return holder;
  };

  test("is remembered until the store would grant the cost", () => {
    const holder = denied(false);
    expect([100, 799, 800, 900].map((ms) => emptyForMs(holder, 4, ms))).toEqual([700, 1, 0, 0]);
    expect([100, 799, 800, 900].map((ms) => dueInMs(holder, 4, ms))).toEqual([700, 1, 0, 0]);
  });

  test("covers higher costs, which also wait for the refill of the difference", () => {
    expect(emptyForMs(denied(false), 5, 100)).toBe(700);
    expect(dueInMs(denied(false), 5, 100)).toBe(700 + 500);
    expect(dueInMs(denied(false), 5, 900)).toBe(500);
  });

  test("of a higher cost waits for the end of the leases of other instances", () => {
    expect(dueInMs(denied(true), 4, 100)).toBe(700);
    expect(dueInMs(denied(true), 5, 100)).toBe(700 + 1000 + 500);
  });

  test("says nothing about a lower cost, and no limit has a denial at first", () => {
    expect([emptyForMs(denied(true), 3, 100), dueInMs(denied(true), 3, 100)]).toEqual([0, 0]);
    const fresh = createLeaseHolder(limit, 0);
    expect([emptyForMs(fresh, 1, 0), dueInMs(fresh, 1, 0)]).toEqual([0, 0]);
  });

  test("is forgotten with the next grant", () => {
    const holder = denied(false);
    grant(holder, "b", 4, 200);
    expect([emptyForMs(holder, 4, 200), dueInMs(holder, 4, 200)]).toEqual([0, 0]);
  });
});

describe("tokens are returned to the store", () => {
  test("when they have not been used for 200 ms", () => {
    const holder = holderWith(5);
    spendTokens(holder, 1, 50);
    expect(returnIdleLeases(holder, 249)).toBe(false);
    expect(returnIdleLeases(holder, 250)).toBe(true);
    expect(unspent(holder)).toEqual([["l0", 4]]);
  });

  test("not so early while half of the bucket is left, because no other instance needs them", () => {
    const holder = createLeaseHolder(limit, 0);
    grant(holder, "l0", 5, 0, true);
    spendTokens(holder, 1, 50);
    expect(returnIdleLeases(holder, 799)).toBe(false);
    expect(returnIdleLeases(holder, 800)).toBe(true);
    expect(unspent(holder)).toEqual([["l0", 4]]);
    grant(holder, "l1", 5, 1000, true);
    grant(holder, "l2", 1, 1100, false);
    expect(returnIdleLeases(holder, 1100)).toBe(true);
  });

  test("also of a limit in use, when the lease has 100 ms left", () => {
    const holder = holderWith(5, 7);
    spendTokens(holder, 1, 790);
    expect(returnIdleLeases(holder, 799)).toBe(false);
    expect(returnIdleLeases(holder, 800)).toBe(true);
    expect(unspent(holder)).toEqual([["l0", 4]]);
    expect(availableTokens(holder, 800)).toBe(7);
  });

  test("as long as the store has not counted them as spent, and not later", () => {
    const holder = holderWith(5);
    expect(returnIdleLeases(holder, 1099)).toBe(true);
    expect(returnIdleLeases(holder, 1100)).toBe(false);
    expect(unspent(holder)).toEqual([]);
  });

  test("but a lease that was spent to the last token needs no message of its own", () => {
    const holder = holderWith(5);
    spendTokens(holder, 5, 50);
    expect(returnIdleLeases(holder, 60)).toBe(false);
    expect(unspent(holder)).toEqual([["l0", 0]]);
  });

  test("together with the ends of leases that were spent", () => {
    const holder = holderWith(5, 7);
    spendTokens(holder, 5, 150);
    expect(returnIdleLeases(holder, 350)).toBe(true);
    expect(unspent(holder)).toEqual([
      ["l0", 0],
      ["l1", 7],
    ]);
  });
});

describe("a request to the store", () => {
  test("has its cost, that of all waiting requests, what is wanted in advance, and what is held", () => {
    const holder = holderWith(5);
    holder.waiting = 12;
    for (let ms = 100; ms < 115; ms++) recordDemand(holder, 1, ms);
    expect(beginLeaseRequest(holder, 7, "b", 120).request).toEqual({
      leaseId: "b",
      cost: 7,
      waiting: 12,
      ahead: 6,
      held: 5,
    });
  });

  test("counts itself as waiting", () => {
    expect(beginLeaseRequest(holderWith(), 7, "a", 0).request).toMatchObject({ cost: 7, waiting: 7 });
  });

  test("settles a lease that has ended since the last sweep", () => {
    const holder = holderWith(5);
    spendTokens(holder, 2, 100);
    const { settlements, request } = beginLeaseRequest(holder, 7, "b", 900);
    expect(settlements).toEqual([{ leaseId: "l0", unspentTokens: 3, spentAgoUs: 800_000 }]);
    expect(request.held).toBe(0);
  });
});

test("what the counter of a quota has left is known from its last reply", () => {
  const holder = createLeaseHolder(limit, 0);
  expect(holder.counter).toMatchObject({ freeUnits: 0, replyMs: Number.NEGATIVE_INFINITY });
  for (const [freeUnits, nowMs] of [
    [40, 100],
    [0, 200],
  ] as const) {
    beginLeaseRequest(holder, 1, `a${nowMs}`, nowMs);
    const counter = { lifeUs: 1_000_000, freeUnits };
    completeLeaseRequest(holder, { grantedTokens: 1, waitUs: 0, leasesOutstanding: false, counter }, nowMs);
    expect(holder.counter).toMatchObject({ freeUnits, replyMs: nowMs });
  }
});

describe("a limit is kept in memory", () => {
  test("while it holds a lease, and while the end of a lease is not confirmed", () => {
    const holder = holderWith(5);
    expect(isDormant(holder)).toBe(false);
    returnAllLeases(holder);
    expect(isDormant(holder)).toBe(false);
    takeSettlements(holder);
    expect(isDormant(holder)).toBe(true);
  });

  test("while a request is pending or waits", () => {
    const holder = createLeaseHolder(limit, 0);
    beginLeaseRequest(holder, 1, "a", 0);
    expect(isDormant(holder)).toBe(false);
    failLeaseRequest(holder);
    expect(isDormant(holder)).toBe(true);
    holder.waiting = 1;
    expect(isDormant(holder)).toBe(false);
  });
});

describe("tokens are requested ahead of need", () => {
  const busy = (more: Partial<typeof limit> = {}) => {
    const holder = createLeaseHolder({ ...limit, ...more }, 0);
    for (let ms = 0; ms < 4; ms++) recordDemand(holder, 1, ms);
    return holder;
  };

  test("twice the demand of the last 100 ms beyond the present request", () => {
    expect(aheadTokens(busy(), 1, 1, 10)).toBe(6);
    expect(aheadTokens(busy(), 1, 4, 10)).toBe(0);
    expect(aheadTokens(busy(), 1, 5, 10)).toBe(0);
  });

  test("at most a tenth of the capacity, so none for a small limit", () => {
    expect(aheadTokens(busy({ capacity: 59 }), 1, 1, 10)).toBe(5);
    expect(aheadTokens(busy({ capacity: 9 }), 1, 1, 10)).toBe(0);
  });

  test("not at all with `lease: off`", () => {
    expect(aheadTokens(busy({ leased: false }), 1, 1, 10)).toBe(0);
    expect(shouldPrefetch(busy({ leased: false }), 1, 10)).toBe(false);
  });

  test("for a demand that fades within 200 ms", () => {
    expect(aheadTokens(busy(), 1, 0, 99)).toBe(8);
    expect([100, 150, 175, 199].map((ms) => aheadTokens(busy(), 1, 0, ms))).toEqual([8, 4, 2, 1]);
    expect(aheadTokens(busy(), 1, 0, 200)).toBe(0);
    expect(aheadTokens(busy(), 1, 0, 1000)).toBe(0);
  });

  test("for the demand of two windows together", () => {
    const holder = busy();
    recordDemand(holder, 3, 150);
    expect(aheadTokens(holder, 1, 0, 150)).toBe(10);
    expect(aheadTokens(holder, 1, 0, 250)).toBe(3);
  });

  describe("while half of the bucket is left", () => {
    /** One request every 250 ms: the last of them is the present one. */
    const steady = (requests: number, isHalfFull = true, more: Partial<typeof limit> = {}) => {
      const holder = createLeaseHolder({ ...limit, ...more }, 0);
      for (let at = 0; at < requests; at++) recordDemand(holder, 1, at * 250);
      grant(holder, "a", 1, (requests - 1) * 250, isHalfFull);
      holder.waiting = 1;
      return holder;
    };
    const ahead = (holder: LeaseHolder, nowMs: number) => aheadTokens(holder, 1, holder.waiting, nowMs);

    test("what is expected in the time that a lease is held, at the rate of the last second", () => {
      expect(ahead(steady(5), 1000)).toBe(1 + 3);
      const unwanted = steady(5);
      unwanted.waiting = 0;
      expect(aheadTokens(unwanted, 1, 1, 1000)).toBe(3);
    });

    test("nothing if a further request is less likely than not, because the rest must be returned", () => {
      expect(ahead(steady(1), 0)).toBe(0);
      expect(ahead(steady(2), 250)).toBe(0);
      expect(ahead(steady(3), 500)).toBe(1 + 2);
      expect(ahead(steady(5), 2000)).toBe(0);
    });

    test("for whole requests of the present cost only, because the rest could not be spent", () => {
      const withCost = (cost: number, capacity: number) => {
        const holder = createLeaseHolder({ ...limit, capacity }, 0);
        for (let at = 0; at < 5; at++) recordDemand(holder, cost, at * 250);
        grant(holder, "a", cost, 1000, true);
        holder.waiting = cost;
        return aheadTokens(holder, cost, cost, 1000);
      };
      expect(withCost(5, 1000)).toBe(5 + 15);
      expect(withCost(5, 190)).toBe(5 + 10);
      expect(withCost(5, 99)).toBe(0);
      expect(withCost(50, 600)).toBe(0);
    });

    test("nothing for a rare request of a high cost", () => {
      const holder = createLeaseHolder({ ...limit, capacity: 1000 }, 0);
      for (const ms of [0, 900]) recordDemand(holder, 5, ms);
      grant(holder, "a", 5, 900, true);
      expect(aheadTokens(holder, 5, 5, 900)).toBe(0);
    });

    test("at most a tenth of the capacity, and nothing with `lease: off`", () => {
      expect(ahead(steady(5, true, { capacity: 29 }), 1000)).toBe(2);
      expect(ahead(steady(5, true, { leased: false }), 1000)).toBe(0);
    });

    test("and no longer, as soon as a reply says that less is left, or denies", () => {
      expect(ahead(steady(5, false), 1000)).toBe(0);
      const denied = steady(5);
      beginLeaseRequest(denied, 1, "b", 1000);
      completeLeaseRequest(denied, { grantedTokens: 0, waitUs: 1, leasesOutstanding: false }, 1000);
      expect(ahead(denied, 1000)).toBe(0);
    });
  });

  test("as soon as less than half of the demand is held, and while the store may grant them", () => {
    const holder = busy();
    expect(shouldPrefetch(holder, 0, 10)).toBe(true);
    grant(holder, "a", 2, 10);
    expect(shouldPrefetch(holder, 0, 10)).toBe(false);
    spendTokens(holder, 1, 10);
    expect(shouldPrefetch(holder, 0, 10)).toBe(true);
    expect(shouldPrefetch(holder, 2, 10)).toBe(false);
    beginLeaseRequest(holder, 1, "b", 10);
    expect(shouldPrefetch(holder, 0, 10)).toBe(false);
    completeLeaseRequest(holder, { grantedTokens: 0, waitUs: 30_000, leasesOutstanding: false }, 10);
    expect([10, 39, 40].map((ms) => shouldPrefetch(holder, 0, ms))).toEqual([false, false, true]);
  });

  test("not within a second after a quota had none to give ahead", () => {
    const holder = createLeaseHolder(limit, 0);
    beginLeaseRequest(holder, 0, "a", 0);
    completeLeaseRequest(holder, { grantedTokens: 0, waitUs: 0, leasesOutstanding: false }, 5);
    for (let ms = 1000; ms < 1004; ms++) recordDemand(holder, 1, ms);
    expect(emptyForMs(holder, 1, 1004)).toBe(0);
    expect([1004, 1005].map((ms) => shouldPrefetch(holder, 0, ms))).toEqual([false, true]);
  });
});
