import { expect, test } from "vitest";
import { createCalendars } from "./calendar.ts";
import type { QuotaCounter } from "./quota-counter.ts";
import { newCounter, quotaStep } from "./quota-counter.ts";
import type { QuotaDebtsPorts } from "./quota-debts.ts";
import { createQuotaDebts } from "./quota-debts.ts";
import type { QuotaStep } from "./quota-step.ts";

const HOUR_MS = 3_600_000;
const START_MS = Date.UTC(2026, 10, 30);
const calendars = createCalendars();
const [hourly, daily] = (["hour", "day"] as const).map((every) => calendars({ every, timeZone: "UTC" }));
if (hourly === undefined || daily === undefined) throw new Error("the calendars");
const [HOURLY, DAILY] = ["quota/key:h:fam_x", "quota/key:d:fam_x"];

/** Debts to a store with real counters. */
function open(more: Partial<QuotaDebtsPorts> & Pick<Partial<QuotaDebtsPorts["store"]>, "historyOf"> = {}) {
  const { historyOf, ...ports } = more;
  const clock = { nowMs: START_MS };
  const counters = new Map<string, QuotaCounter>();
  const unavailable = new Set<string>();
  const steps: QuotaStep[] = [];
  const observed: (readonly [string, number])[] = [];
  const debts = createQuotaDebts({
    store: {
      async step(counterId, step) {
        if (unavailable.has(counterId)) throw new Error("unavailable on purpose");
        steps.push(step);
        const counter = counters.get(counterId) ?? newCounter();
        counters.set(counterId, counter);
        return quotaStep(counter, step, clock.nowMs * 1000);
      },
      ...(historyOf && { historyOf }),
    },
    storeNowMs: () => clock.nowMs,
    monotonicMs: () => clock.nowMs,
    instanceId: "i",
    observe: (event, units) => void observed.push([event, units]),
    ...ports,
  });
  const used = (counterId: string) => counters.get(counterId)?.used;
  return { debts, clock, counters, unavailable, steps, observed, used };
}

test("what was admitted without the store is posted as one sum for each counter, and asks for nothing", async () => {
  const { debts, steps, observed, used } = open();
  debts.add(HOURLY, hourly, START_MS, 2);
  debts.add(HOURLY, hourly, START_MS, 3);
  debts.add(DAILY, daily, START_MS, 7);
  expect(debts.waiting()).toBe(2);
  await debts.post();
  expect([used(HOURLY), used(DAILY), debts.waiting()]).toEqual([5, 7, 0]);
  expect(observed).toEqual([
    ["posted", 5],
    ["posted", 7],
  ]);
  expect(steps).toMatchObject([
    { limit: 0, settlements: [], windows: hourly(START_MS), posting: { instanceId: "i" } },
    { limit: 0, settlements: [], windows: daily(START_MS), posting: { instanceId: "i" } },
  ]);
  await debts.post();
  expect(steps).toHaveLength(2);
});

test("each quota has its own windows, whatever its subjects are", async () => {
  const { debts, clock, used } = open();
  const owners = ["acme", "issuer:acme", "a:h:b"].map((owner) => `quota/owner:d:${owner}`);
  for (const owner of owners) debts.add(owner, daily, START_MS, 1);
  debts.add("quota/owner:h:acme", hourly, START_MS + HOUR_MS, 1);
  clock.nowMs = START_MS + HOUR_MS;
  await debts.post();
  expect(owners.map(used)).toEqual([1, 1, 1]);
  expect(used("quota/owner:h:acme")).toBe(1);
});

test("a reloaded policy can give a quota other windows", async () => {
  const { debts, steps, used } = open();
  debts.add(DAILY, daily, START_MS, 1);
  debts.add(DAILY, hourly, START_MS, 1);
  await debts.post();
  expect([used(DAILY), steps[0]?.windows]).toEqual([2, hourly(START_MS)]);
});

test("units of a window that has ended are lost, and reported", async () => {
  const { debts, clock, observed, used } = open();
  debts.add(HOURLY, hourly, START_MS, 4);
  clock.nowMs = START_MS + HOUR_MS;
  await debts.post();
  expect([observed, used(HOURLY), debts.waiting()]).toEqual([[["lost", 4]], 0, 0]);
});

test("a counter without an answer keeps its units, and does not hold up the others", async () => {
  const { debts, unavailable, observed, used } = open();
  debts.add(HOURLY, hourly, START_MS, 1);
  debts.add(DAILY, daily, START_MS, 1);
  unavailable.add(HOURLY);
  await expect(debts.post()).rejects.toThrow("did not answer 1 postings");
  expect([used(HOURLY), used(DAILY), debts.waiting()]).toEqual([undefined, 1, 1]);
  await expect(debts.post()).rejects.toThrow("the store does not count what was admitted without it");
  unavailable.clear();
  await debts.post();
  expect([used(HOURLY), used(DAILY), debts.waiting()]).toEqual([1, 1, 0]);
  expect(observed).toHaveLength(2);
});

test("a counter whose writes were lost receives them again, within the time for which they are kept", async () => {
  for (const [keepMs, expected] of [
    [HOUR_MS, 3],
    [1000, 1],
    [undefined, 1],
  ] as const) {
    const { debts, clock, counters, used } = open(keepMs === undefined ? {} : { keepMs });
    debts.add(DAILY, daily, START_MS, 2);
    await debts.post();
    counters.clear();
    clock.nowMs += 2000;
    debts.replay();
    debts.add(DAILY, daily, START_MS, 1);
    await debts.post();
    expect([keepMs, used(DAILY)]).toEqual([keepMs, expected]);
  }
});

test("a store that names its history receives lost writes again without a call", async () => {
  let history = "a";
  const { debts, counters, used } = open({ keepMs: HOUR_MS, historyOf: () => history });
  debts.add(DAILY, daily, START_MS, 2);
  await debts.post();
  [history] = ["b"];
  counters.clear();
  await debts.post();
  expect(used(DAILY)).toBe(2);
});

test("a store that lacks what it counted in this window has lost it, and one that begins a window has not", async () => {
  const { debts, clock, counters, steps, used } = open({ keepMs: 2 * HOUR_MS });
  const sent = () => steps.splice(0).map(({ posting }) => posting?.sent.amount);
  debts.add(HOURLY, hourly, START_MS, 2);
  await debts.post();
  expect(sent()).toEqual([2]);
  counters.clear();
  debts.add(HOURLY, hourly, START_MS, 1);
  await debts.post();
  expect([used(HOURLY), sent()]).toEqual([3, [1, 2, 1]]);
  clock.nowMs = START_MS + HOUR_MS;
  debts.add(HOURLY, hourly, clock.nowMs, 5);
  await debts.post();
  expect([used(HOURLY), sent()]).toEqual([5, [5]]);
});

test("a counter that was reset receives nothing again", async () => {
  const { debts, counters, used } = open({ keepMs: HOUR_MS });
  debts.add(DAILY, daily, START_MS, 2);
  await debts.post();
  counters.clear();
  debts.forget(DAILY);
  debts.replay();
  await debts.post();
  expect(used(DAILY)).toBeUndefined();
});

test("other work of the process has a turn between batches of counters, and nothing needs an observer", async () => {
  let turns = 0;
  const { debts } = open({ nextTurn: async () => void turns++ });
  for (let at = 0; at < 51; at++) debts.add(`quota/key:d:${at}`, daily, START_MS, 1);
  debts.add(HOURLY, hourly, START_MS - HOUR_MS, 1);
  await debts.post();
  expect(turns).toBe(2);
  const silent = createQuotaDebts({
    store: { step: async (_id, step) => quotaStep(newCounter(), step, START_MS * 1000) },
    storeNowMs: () => START_MS,
    monotonicMs: () => START_MS,
    instanceId: "i",
  });
  silent.add(HOURLY, hourly, START_MS, 1);
  silent.add(DAILY, daily, START_MS - 24 * HOUR_MS, 1);
  await silent.post();
  expect(silent.waiting()).toBe(0);
});
