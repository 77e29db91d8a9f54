import { describe, expect, test } from "vitest";
import { HOUR_MS } from "./calendar.ts";
import type { QuotaCounter } from "./quota-counter.ts";
import { counterUse, isIntact, newCounter, quotaStep, raiseCounter, takenUnits } from "./quota-counter.ts";
import type { QuotaStep, UnitRequest } from "./quota-step.ts";

/** The start of an hour. */
const T = 500_000 * HOUR_MS;
const windows = { startMs: T, endMs: T + HOUR_MS, nextEndMs: T + 2 * HOUR_MS };

/** Takes one step, `afterMs` after the start of the window. */
function stepOn(counter: QuotaCounter, afterMs: number, step: Partial<QuotaStep> = {}) {
  return quotaStep(counter, { limit: 100, windows, settlements: [], ...step }, (T + afterMs) * 1000);
}

function request(leaseId: string, more: Partial<UnitRequest> = {}) {
  return { request: { leaseId, cost: 1, waiting: 1, ahead: 0, held: 0, ...more } };
}

const units = (cost: number) => ({ cost, waiting: cost });

/** A counter that has counted this number of units in the window. */
function used(count: number, windowMs = T): QuotaCounter {
  return { ...newCounter(), windowMs, used: count };
}

describe("a lease", () => {
  test("is granted up to the limit, and to the last unit", () => {
    const counter = used(98);
    expect(stepOn(counter, 0, request("a", units(2)))).toMatchObject({ grantedUnits: 2, freeUnits: 0 });
    expect(stepOn(counter, 0, request("b"))).toMatchObject({ grantedUnits: 0, lifeUs: 0 });
  });

  test("is not granted in part: a cost above what is left gets nothing", () => {
    expect(stepOn(used(98), 0, request("a", units(3)))).toMatchObject({ grantedUnits: 0, freeUnits: 2 });
  });

  test("serves all requests that wait, as far as units are left", () => {
    expect(stepOn(used(0), 0, request("a", { cost: 2, waiting: 30 })).grantedUnits).toBe(30);
    expect(stepOn(used(90), 0, request("a", { cost: 2, waiting: 30 })).grantedUnits).toBe(10);
  });

  test("has at most 1% of what is left in advance, together with what the instance holds", () => {
    const ahead = (held: number, limit = 1000) =>
      stepOn(used(0), 0, { ...request("a", { ahead: 50, held }), limit }).grantedUnits;
    expect([ahead(0), ahead(4), ahead(9), ahead(20)]).toEqual([10, 6, 1, 1]);
    expect(ahead(0, 1_000_000)).toBe(50);
  });

  test("is not granted to a request that only wants units in advance, if there are not enough for that", () => {
    const counter = used(0);
    expect(stepOn(counter, 0, request("a", { cost: 0, waiting: 0, ahead: 5 })).grantedUnits).toBe(1);
    expect(stepOn(counter, 0, request("b", { cost: 0, waiting: 0, ahead: 5, held: 1 })).grantedUnits).toBe(0);
    expect([...counter.leases.keys()]).toEqual(["a"]);
  });

  test("is granted once, although its request arrives again", () => {
    const counter = used(0);
    const first = stepOn(counter, 0, request("a", units(60)));
    const again = stepOn(counter, 10, request("a", units(60)));
    expect([first.grantedUnits, again.grantedUnits, again.freeUnits]).toEqual([60, 60, 40]);
    expect([first.lifeUs, again.lifeUs]).toEqual([1_000_000, 990_000]);
  });

  test("returns what was not spent, once, and never more than it had", () => {
    const settled = (leaseId: string, unspentTokens: number) => ({
      settlements: [{ leaseId, unspentTokens }],
    });
    const counter = used(0);
    stepOn(counter, 0, request("a", units(60)));
    expect(stepOn(counter, 10, settled("a", 20))).toMatchObject({ used: 40, freeUnits: 60, leased: 0 });
    expect(stepOn(counter, 20, settled("a", 20))).toMatchObject({ used: 40, freeUnits: 60 });
    stepOn(counter, 30, request("b", units(5)));
    expect(stepOn(counter, 40, settled("b", 9))).toMatchObject({ used: 40, freeUnits: 60 });
    stepOn(counter, 50, request("c", units(5)));
    expect(stepOn(counter, 60, settled("c", -9))).toMatchObject({ used: 45, freeUnits: 55 });
    expect(stepOn(counter, 70, settled("unknown", 9))).toMatchObject({ used: 45, freeUnits: 55 });
  });

  test("counts as spent a second after its grant, with a report", () => {
    const counter = used(0);
    stepOn(counter, 0, request("a", units(60)));
    expect(stepOn(counter, 999)).toMatchObject({ used: 0, leased: 60, expiredUnits: 0 });
    expect(stepOn(counter, 1000)).toMatchObject({ used: 60, leased: 0, expiredUnits: 60 });
    expect(stepOn(counter, 1001)).toMatchObject({ used: 60, expiredUnits: 0 });
  });

  test("lives at most its whole life after the store's clock was set back", () => {
    const counter = used(0);
    stepOn(counter, 5000, request("a", units(60)));
    expect(stepOn(counter, 1000)).toMatchObject({ leased: 60, expiredUnits: 0 });
    expect(stepOn(counter, 1999)).toMatchObject({ leased: 60, expiredUnits: 0 });
    expect(stepOn(counter, 2000)).toMatchObject({ leased: 0, expiredUnits: 60 });
  });

  test("ends with its window, and a window of less than 20 ms grants none although units are left", () => {
    const leftMs = (ms: number, count = 0) => stepOn(used(count), HOUR_MS - ms, request("a"));
    expect(leftMs(1000)).toMatchObject({ grantedUnits: 1, lifeUs: 1_000_000 });
    expect(leftMs(999)).toMatchObject({ grantedUnits: 1, lifeUs: 999_000 });
    expect(leftMs(20)).toMatchObject({ grantedUnits: 1, lifeUs: 20_000, isEnding: false });
    expect(leftMs(19)).toMatchObject({ grantedUnits: 0, lifeUs: 0, isEnding: true, leftUs: 19_000 });
    expect(leftMs(19, 99)).toMatchObject({ grantedUnits: 0, isEnding: true });
    // A request does not wait for the next window if this one is exhausted.
    expect(leftMs(19, 100)).toMatchObject({ grantedUnits: 0, isEnding: false });
    const inAdvance = request("a", { cost: 0, waiting: 0, ahead: 5 });
    expect(stepOn(used(0), HOUR_MS - 19, inAdvance)).toMatchObject({ grantedUnits: 0, isEnding: false });
    expect(stepOn(used(0), HOUR_MS - 19)).toMatchObject({ isEnding: false, leftUs: 19_000 });
  });
});

describe("the window", () => {
  test("begins with nothing used, no lease, no threshold and no posting", () => {
    const counter = used(0);
    stepOn(counter, 0, request("a", units(90)));
    counter.posted.set("i", 7);
    const reply = stepOn(counter, HOUR_MS);
    expect(reply).toMatchObject({ windowMs: T + HOUR_MS, used: 0, leased: 0, freeUnits: 100, crossed: 0 });
    expect(reply).toMatchObject({ leftUs: HOUR_MS * 1000, expiredUnits: 0 });
    expect(counter.posted.size).toBe(0);
    expect(stepOn(counter, HOUR_MS + 1, request("b", units(80))).crossed).toBe(80);
  });

  test("is chosen by the store's clock among the two that the instance proposes, and nothing happens outside", () => {
    const at = (afterMs: number) => stepOn(used(5, T - HOUR_MS), afterMs, request("a"));
    expect(at(-1)).toMatchObject({ inWindows: false, nowMs: T - 1, grantedUnits: 0, isEnding: false });
    expect(at(0)).toMatchObject({ inWindows: true, windowMs: T, used: 0, grantedUnits: 1 });
    expect(at(HOUR_MS - 1)).toMatchObject({ inWindows: true, windowMs: T });
    expect(at(HOUR_MS)).toMatchObject({ inWindows: true, windowMs: T + HOUR_MS });
    expect(at(2 * HOUR_MS - 1)).toMatchObject({ inWindows: true, windowMs: T + HOUR_MS });
    expect(at(2 * HOUR_MS)).toMatchObject({ inWindows: false, nowMs: T + 2 * HOUR_MS });
    const counter = used(5, T - HOUR_MS);
    stepOn(counter, 2 * HOUR_MS, request("a"));
    expect(counter).toEqual(used(5, T - HOUR_MS));
  });

  test("never starts again after the clock was set back: the later one goes on", () => {
    const counter = used(7, T + HOUR_MS);
    expect(stepOn(counter, 0)).toMatchObject({ windowMs: T + HOUR_MS, used: 7, leftUs: 2 * HOUR_MS * 1000 });
    const day = { startMs: T, endMs: T + 24 * HOUR_MS, nextEndMs: T + 48 * HOUR_MS };
    const tomorrow = used(7, T + 24 * HOUR_MS);
    expect(stepOn(tomorrow, HOUR_MS, { windows: day }).leftUs).toBe(47 * HOUR_MS * 1000);
    const later = used(7, T + 5 * HOUR_MS);
    expect(stepOn(later, 0)).toMatchObject({
      windowMs: T + 5 * HOUR_MS,
      used: 7,
      leftUs: 6 * HOUR_MS * 1000,
    });
  });
});

describe("the limit", () => {
  test("has extra units in their window only", () => {
    const extra = { units: 20, windowMs: T };
    expect(stepOn(used(100), 0, { ...request("a", units(20)), extra }).grantedUnits).toBe(20);
    expect(stepOn(used(100), 0, { ...request("a", units(21)), extra }).grantedUnits).toBe(0);
    expect(stepOn(newCounter(), HOUR_MS, { extra }).freeUnits).toBe(100);
    const counter = used(0);
    stepOn(counter, 0, { extra });
    expect(counter.limit).toBe(120);
  });

  test("has the extra units of a longer window of a new policy, within which that of the counter began", () => {
    const day = { startMs: T - 5 * HOUR_MS, endMs: T + 19 * HOUR_MS, nextEndMs: T + 43 * HOUR_MS };
    const extra = { units: 20, windowMs: day.startMs };
    expect(stepOn(used(100), 0, { windows: day, extra }).freeUnits).toBe(20);
    const later = used(100, day.endMs);
    expect(stepOn(later, 0, { windows: day, extra }).freeUnits).toBe(0);
    expect(stepOn(later, 0, { windows: day, extra: { units: 7, windowMs: day.endMs } }).freeUnits).toBe(7);
  });

  test("can be below what is used, which leaves nothing free and is no debt", () => {
    expect(stepOn(used(150), 0)).toMatchObject({ used: 150, freeUnits: 0 });
  });

  test.each([
    [79, 0],
    [80, 80],
    [99, 80],
    [100, 100],
    [130, 100],
  ])("of 100 reports, with %d units used, the threshold %d", (count, crossed) => {
    const counter = used(count);
    expect(stepOn(counter, 0).crossed).toBe(crossed);
    expect(stepOn(counter, 1).crossed).toBe(0);
  });

  test("reports each threshold once in a window, in rising order, and counts what is leased", () => {
    const counter = used(70);
    expect(stepOn(counter, 0, request("a", units(10))).crossed).toBe(80);
    expect(stepOn(counter, 1, request("b", units(10))).crossed).toBe(0);
    expect(stepOn(counter, 2, request("c", units(10))).crossed).toBe(100);
    expect(stepOn(counter, 3, { settlements: [{ leaseId: "c", unspentTokens: 10 }] }).crossed).toBe(0);
    expect(stepOn(counter, 4, request("d", units(10))).crossed).toBe(0);
  });

  test("of 0, as a posting has it, reports nothing", () => {
    expect(stepOn(used(5), 0, { limit: 0 }).crossed).toBe(0);
  });
});

describe("a posting of what was admitted without the store", () => {
  const posting = (number: number, amount: number, more: { after?: number; window?: number } = {}) => ({
    posting: { instanceId: "i", sent: { subject: "s", number, after: 0, window: T, amount, ...more } },
  });

  test("is counted once, whatever the limit is", () => {
    const counter = used(90);
    expect(stepOn(counter, 0, posting(1, 30))).toMatchObject({ posted: "counted", used: 120 });
    expect(stepOn(counter, 1, posting(1, 30))).toMatchObject({ posted: "counted", used: 120 });
    expect(stepOn(counter, 2, posting(3, 5, { after: 1 }))).toMatchObject({ posted: "counted", used: 125 });
    expect(stepOn(counter, 3)).toMatchObject({ posted: undefined });
  });

  test("is not counted by a store that lacks an earlier one of the instance", () => {
    expect(stepOn(used(0), 0, posting(3, 5, { after: 2 }))).toMatchObject({ posted: "behind", used: 0 });
  });

  test("of another instance has its own number", () => {
    const counter = used(0);
    stepOn(counter, 0, posting(1, 30));
    const { sent } = posting(1, 4).posting;
    expect(stepOn(counter, 1, { posting: { instanceId: "j", sent } }).used).toBe(34);
  });

  test("is void when its window has ended, and waits for one that has not begun by the store's clock", () => {
    expect(stepOn(used(0), 0, posting(1, 5, { window: T - 1 }))).toMatchObject({ posted: "void", used: 0 });
    expect(stepOn(used(0), 10, posting(1, 5, { window: T + 11 })).posted).toBeUndefined();
    expect(stepOn(used(0), 10, posting(1, 5, { window: T + 10 })).posted).toBe("counted");
    const next = { window: T + HOUR_MS };
    expect(stepOn(newCounter(), HOUR_MS, posting(1, 5, next)).posted).toBe("counted");
    expect(stepOn(newCounter(), HOUR_MS, posting(1, 5)).posted).toBe("void");
  });

  test("of a window that began within a longer one of a new policy counts", () => {
    const counter = used(3, T + 1000);
    expect(stepOn(counter, 2000, posting(1, 5))).toMatchObject({ posted: "counted", used: 8 });
  });

  test("after the clock was set back counts in the window that goes on, and is void in the one before", () => {
    const ahead = () => used(3, T + HOUR_MS);
    expect(stepOn(ahead(), 0, posting(1, 5, { window: T + HOUR_MS })).posted).toBe("counted");
    expect(stepOn(ahead(), 0, posting(1, 5)).posted).toBe("void");
    expect(stepOn(ahead(), 0, posting(1, 5, { window: T + 2 * HOUR_MS })).posted).toBeUndefined();
  });

  test("does not change the limit that operators see, because it comes without one", () => {
    const counter = used(0);
    stepOn(counter, 0);
    stepOn(counter, 0, { ...posting(1, 30), limit: 0 });
    expect(counter).toMatchObject({ used: 30, limit: 100 });
  });

  test("never makes the number of used units inexact", () => {
    expect(stepOn(used(2 ** 52 - 1), 0, posting(1, 2 ** 40)).used).toBe(2 ** 52);
  });
});

describe("a charge of what a request has used", () => {
  const charge = (amount: number, more: Partial<NonNullable<QuotaStep["charge"]>> = {}) => ({
    charge: {
      id: "c",
      amount,
      reserved: 0,
      issuedMs: T + 5000,
      receivedMs: T + 6000,
      isRefundable: true,
      keepMs: 60_000,
      ...more,
    },
  });
  const charged = (counter: QuotaCounter, ...[amount, more]: Parameters<typeof charge>) =>
    stepOn(counter, 6000, charge(amount, more));

  test("adds what it exceeds its reservation by, and returns the rest of it", () => {
    expect(charged(used(10), 7)).toMatchObject({ charged: "counted", used: 17 });
    expect(charged(used(10), 7, { reserved: 4 }).used).toBe(13);
    expect(charged(used(10), 4, { reserved: 7 }).used).toBe(7);
    expect(charged(used(10), 7, { reserved: 7 }).used).toBe(10);
  });

  test("returns nothing of a reservation that was released already", () => {
    expect(charged(used(10), 4, { reserved: 7, isRefundable: false }).used).toBe(10);
    expect(charged(used(10), 9, { reserved: 7, isRefundable: false }).used).toBe(12);
  });

  test("counts whole if the reservation was taken in an earlier window", () => {
    expect(charged(used(10), 4, { reserved: 7, issuedMs: T - 1 }).used).toBe(14);
    expect(charged(used(10), 9, { reserved: 7, issuedMs: T - 1 }).used).toBe(19);
    expect(charged(used(10), 9, { reserved: 7, issuedMs: T }).used).toBe(12);
  });

  test("returns nothing in the first two seconds of a window, because it may have been reserved in the one before", () => {
    expect(charged(used(10), 4, { reserved: 7, issuedMs: T + 1999 }).used).toBe(10);
    expect(charged(used(10), 4, { reserved: 7, issuedMs: T + 2000 }).used).toBe(7);
  });

  test("is void two seconds after the end of the window in which it was received", () => {
    expect(charged(used(10), 7, { receivedMs: T - 2001 })).toMatchObject({ charged: "void", used: 10 });
    expect(charged(used(10), 7, { receivedMs: T - 2000, issuedMs: T - 3000 })).toMatchObject({
      charged: "counted",
      used: 17,
    });
  });

  test("counts once, and is remembered from now for the life of its ticket", () => {
    const known = new Map<string, readonly number[]>();
    const remember = (id: string, untilMs: number, nowMs: number) => {
      const isNew = !known.has(id);
      known.set(id, [untilMs, nowMs]);
      return isNew;
    };
    const counter = used(0);
    const step = { limit: 100, windows, settlements: [], ...charge(7) };
    const replies = [0, 1].map((at) => quotaStep(counter, step, (T + 6000 + at) * 1000, remember));
    expect(replies.map((reply) => [reply.charged, reply.used])).toEqual([
      ["counted", 7],
      ["repeat", 7],
    ]);
    expect(known.get("c")).toEqual([T + 66_001, T + 6001]);
  });

  test("that returns units of an outstanding lease leaves them neither used nor leased", () => {
    const counter = used(0);
    stepOn(counter, 5500, request("a", units(50)));
    const reply = charged(counter, 10, { reserved: 50 });
    expect(reply).toMatchObject({ used: 0, leased: 10, freeUnits: 90 });
    expect(takenUnits(counter)).toBe(10);
    expect(stepOn(counter, 6500)).toMatchObject({ used: 10, leased: 0, freeUnits: 90 });
  });

  test("never makes the number of used units inexact", () => {
    expect(charged(used(2 ** 52 - 1), 2 ** 40).used).toBe(2 ** 52);
    const counter = used(1 - 2 ** 52);
    charged(counter, 0, { reserved: 2 ** 40 });
    expect(counter.used).toBe(-(2 ** 52));
  });

  test("does not make more units free than the limit", () => {
    const counter = used(0);
    charged(counter, 0, { reserved: 50 });
    expect(stepOn(counter, 6001)).toMatchObject({ used: 0, freeUnits: 100, leased: 0 });
    expect(takenUnits(counter)).toBe(0);
  });
});

describe("a counter that is copied from another store", () => {
  const raised = (counter: QuotaCounter, windowMs: number, count: number, limit = 50) => {
    raiseCounter(counter, { windowMs, used: count, limit });
    return counterUse("c", counter);
  };

  test("is raised to what that one has counted, and never lowered", () => {
    expect(raised(used(10), T, 12)).toMatchObject({ used: 12 });
    expect(raised(used(10), T, 8)).toMatchObject({ used: 10 });
  });

  test("includes what is leased here already", () => {
    const counter = used(10);
    stepOn(counter, 0, request("a", units(5)));
    expect(raised(counter, T, 17)).toMatchObject({ used: 12, leased: 5 });
    expect(raised(counter, T, 16)).toMatchObject({ used: 12, leased: 5 });
  });

  test("enters a later window, and ignores an earlier one", () => {
    const counter = used(10);
    stepOn(counter, 0, request("a", units(5)));
    expect(raised(counter, T - HOUR_MS, 40)).toMatchObject({ windowMs: T, used: 10, limit: 100 });
    expect(raised(counter, T + HOUR_MS, 4)).toEqual({
      counterId: "c",
      windowMs: T + HOUR_MS,
      used: 4,
      limit: 50,
      leased: 0,
    });
  });

  test("keeps the limit that it has for the window", () => {
    expect(raised(used(1), T, 2).limit).toBe(50);
    const counter = used(1);
    stepOn(counter, 0);
    expect(raised(counter, T, 2).limit).toBe(100);
  });
});

test.each<readonly [windowMs: number, used: number, ok: boolean]>([
  [0, 0, true],
  [T, -(2 ** 52), true],
  [T, Number.MAX_SAFE_INTEGER, true],
  [2 ** 43 - 1, 0, true],
  [2 ** 43, 0, false],
  [-1, 0, false],
  [T + 0.5, 0, false],
  [Number.NaN, 0, false],
  [T, -(2 ** 52) - 1, false],
  [T, 0.5, false],
  [T, Number.MAX_SAFE_INTEGER + 1, false],
])("a stored counter of window %d with %d used units is intact: %s", (windowMs, count, ok) => {
  expect(isIntact({ windowMs, used: count })).toBe(ok);
});
