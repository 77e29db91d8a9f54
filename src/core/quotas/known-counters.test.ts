import { describe, expect, test } from "vitest";
import { createCalendars } from "./calendar.ts";
import { createKnownCounters } from "./known-counters.ts";
import { chargedDemands } from "./quota-demand.ts";
import type { QuotaReply } from "./quota-step.ts";

const DAY_MS = 86_400_000;
const START_MS = Date.UTC(2027, 4, 10);
const [DEMAND = expect.unreachable()] = chargedDemands(
  [{ name: "q", per: "key", limit: 100, every: "day", timeZone: "UTC", unit: "tokens" }],
  { family: "f", role: "r" },
  createCalendars(),
);
const ID = DEMAND.counterId;

function open() {
  const clock = { nowMs: START_MS + 1000, monotonicMs: 500 };
  const known = createKnownCounters({
    storeNowMs: () => clock.nowMs,
    monotonicMs: () => clock.monotonicMs,
  });
  const reply = (used: number, more: Partial<QuotaReply> = {}, sentMs = clock.monotonicMs) => {
    const given = { inWindows: true, windowMs: START_MS, used, leased: 0, nowMs: clock.nowMs, ...more };
    known.onReply(ID, given as QuotaReply, sentMs);
  };
  return { clock, known, reply };
}

test("a counter that was never read has used nothing, and is never fresh", () => {
  const { known } = open();
  expect(known.used(DEMAND)).toBe(0);
  expect(known.isFresh(DEMAND, Number.MAX_VALUE)).toBe(false);
  expect(known.of(ID)).toMatchObject({ used: 0, leased: 0, reading: undefined });
});

test("a reply is kept with the time at which its step was sent, and is fresh up to an age", () => {
  const { clock, known, reply } = open();
  reply(30, { leased: 7 }, 400);
  expect(known.of(ID)).toMatchObject({
    windowMs: START_MS,
    used: 30,
    leased: 7,
    storeMs: START_MS + 1000,
    sentMs: 400,
  });
  expect(known.used(DEMAND)).toBe(30);
  clock.monotonicMs = 1200;
  expect([known.isFresh(DEMAND, 799), known.isFresh(DEMAND, 800)]).toEqual([false, true]);
});

describe("a reply", () => {
  test("that is older than the known one changes nothing, and one of the same time does", () => {
    const { clock, known, reply } = open();
    reply(30);
    reply(10, { nowMs: clock.nowMs - 1 });
    expect(known.used(DEMAND)).toBe(30);
    reply(40);
    expect(known.used(DEMAND)).toBe(40);
  });

  test("outside the windows changes nothing", () => {
    const { clock, known, reply } = open();
    reply(30, { inWindows: false, nowMs: clock.nowMs + 5 });
    expect(known.used(DEMAND)).toBe(0);
  });
});

test("what was used in an ended window does not count, nor is it fresh", () => {
  const { clock, known, reply } = open();
  reply(30);
  clock.nowMs = START_MS + DAY_MS - 1;
  expect([known.used(DEMAND), known.isFresh(DEMAND, 0)]).toEqual([30, true]);
  clock.nowMs = START_MS + DAY_MS;
  expect([known.used(DEMAND), known.isFresh(DEMAND, 0)]).toEqual([0, false]);
  // A store whose clock is ahead has begun the next window.
  clock.nowMs = START_MS + DAY_MS - 1;
  reply(5, { windowMs: START_MS + DAY_MS });
  expect([known.used(DEMAND), known.isFresh(DEMAND, 0)]).toEqual([5, true]);
});

test("units that wait to be counted count until the counter has them, and survive a reset", () => {
  const { known, reply } = open();
  reply(30);
  known.waiting(ID, 5);
  known.waiting(ID, 2);
  expect(known.used(DEMAND)).toBe(37);
  known.forget(ID);
  expect(known.used(DEMAND)).toBe(7);
  known.waiting(ID, -7);
  expect(known.used(DEMAND)).toBe(0);
  known.waiting(ID, 1);
  expect(known.used(DEMAND)).toBe(1);
});
