import { expect, test } from "vitest";
import { responseBudgetMs } from "./timeout.ts";

test.each([
  [20, 15],
  [80, 60],
  [100, 80],
  [1000, 900],
  [60_000, 10_000],
  [Number.POSITIVE_INFINITY, 10_000],
  [0, 0],
  [-5, 0],
])("with %d ms left, a decision may take %d ms", (timeLeftMs, budgetMs) => {
  expect(responseBudgetMs(timeLeftMs)).toBe(budgetMs);
});
