import { expect, test } from "vitest";
import { createBudget } from "./budget.ts";

test("a budget is full at first, ends at its capacity, and refills by whole tokens", () => {
  let nowMs = 500;
  const spend = createBudget({ capacity: 2, refillPerSecond: 1 }, () => nowMs);
  expect([spend(), spend(), spend(), spend()]).toEqual([true, true, false, false]);
  nowMs += 999;
  expect(spend()).toBe(false);
  nowMs += 1;
  expect([spend(), spend()]).toEqual([true, false]);
  nowMs += 60_000;
  expect([spend(), spend(), spend()]).toEqual([true, true, false]);
});
