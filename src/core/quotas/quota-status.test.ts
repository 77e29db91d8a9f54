import { expect, test } from "vitest";
import { quotaDemand } from "../../../test/support/quota-demand.ts";
import { exceededQuota, quotaStatus } from "./quota-status.ts";

const START_MS = Date.UTC(2026, 10, 30);
const DAY_MS = 86_400_000;
const NOON_MS = START_MS + DAY_MS / 2;

test("the status of a quota has its limit, its window, what is left, and the seconds until the window ends", () => {
  expect(quotaStatus(quotaDemand(), 7, NOON_MS)).toEqual({
    name: "q",
    capacity: 50,
    windowSeconds: 86_400,
    remaining: 7,
    resetSeconds: 43_200,
  });
});

test("the window is the present one, and a day can have 25 hours", () => {
  const demand = quotaDemand({ timeZone: "Europe/Berlin" });
  const changeMs = Date.UTC(2026, 9, 25);
  expect(quotaStatus(demand, 0, changeMs)).toMatchObject({ windowSeconds: 90_000, resetSeconds: 82_800 });
});

test("no less than nothing is left", () => {
  expect(quotaStatus(quotaDemand(), -1, NOON_MS).remaining).toBe(0);
});

test("a client that waits for the seconds until the end is in the next window", () => {
  const resetSeconds = (nowMs: number) => quotaStatus(quotaDemand(), 0, nowMs).resetSeconds;
  expect([NOON_MS - 1, START_MS + DAY_MS - 1, START_MS + DAY_MS].map(resetSeconds)).toEqual([
    43_201, 1, 86_400,
  ]);
});

test("units on top of the limit count in their window", () => {
  const demand = quotaDemand({ extra: { units: 5, atMs: NOON_MS } });
  expect(quotaStatus(demand, 0, START_MS).capacity).toBe(55);
  expect(quotaStatus(demand, 0, START_MS + DAY_MS).capacity).toBe(50);
  expect(exceededQuota(demand, START_MS)).toEqual({ name: "q", limit: 55, resetsAtMs: START_MS + DAY_MS });
  expect(exceededQuota(demand, START_MS + DAY_MS).limit).toBe(50);
});
