import { expect, test } from "vitest";
import { quotaDemand } from "../../../test/support/quota-demand.ts";
import { newCounter } from "./quota-counter.ts";
import { quotaLevel } from "./quota-store.ts";

const START_MS = Date.UTC(2026, 10, 30);
const DAY_MS = 86_400_000;

/** A counter of the day from {@link START_MS}: 20 units used, and 3 leased until half a second after the start. */
function counter() {
  const leases = new Map([["l", { units: 3, deadlineUs: (START_MS + 500) * 1000 }]]);
  return { ...newCounter(), windowMs: START_MS, used: 20, leases };
}

test("operators see what is used and leased of a quota, its limit, and the end of its window", () => {
  const demand = quotaDemand();
  expect(quotaLevel(demand, counter(), START_MS * 1000)).toEqual({
    demand,
    limitUnits: 50,
    usedUnits: 20,
    leasedUnits: 3,
    resetsAtMs: START_MS + DAY_MS,
  });
});

test("units of an expired lease are shown as used", () => {
  expect(quotaLevel(quotaDemand(), counter(), (START_MS + 500) * 1000)).toMatchObject({
    usedUnits: 23,
    leasedUnits: 0,
  });
});

test("a counter of an ended window has used nothing, from the first microsecond of the next one on", () => {
  const endUs = (START_MS + DAY_MS) * 1000;
  expect(quotaLevel(quotaDemand(), counter(), endUs - 1)).toMatchObject({
    usedUnits: 23,
    resetsAtMs: START_MS + DAY_MS,
  });
  expect(quotaLevel(quotaDemand(), counter(), endUs)).toMatchObject({
    usedUnits: 0,
    resetsAtMs: START_MS + 2 * DAY_MS,
  });
});

test("units on top of the limit are shown in their window", () => {
  const demand = quotaDemand({ extra: { units: 5, atMs: START_MS } });
  const endUs = (START_MS + DAY_MS) * 1000;
  expect(quotaLevel(demand, counter(), endUs - 1).limitUnits).toBe(55);
  expect(quotaLevel(demand, counter(), endUs).limitUnits).toBe(50);
});
