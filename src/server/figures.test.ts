import { expect, test } from "vitest";
import { quantile } from "./figures.ts";

const counts = (...pairs: readonly (readonly [atMostMs: number, count: number])[]) =>
  pairs.map(([atMostMs, count]) => ({ atMostMs, count }));

test("a quantile is interpolated within its bucket", () => {
  const even = counts([1, 50], [2, 100], [Number.POSITIVE_INFINITY, 100]);
  expect(quantile(even, 0.5)).toBe(1);
  expect(quantile(even, 0.75)).toBe(1.5);
  expect(quantile(even, 0.99)).toBe(1.98);
});

test("there is no quantile without decisions, and none above the last finite bound", () => {
  expect(quantile([], 0.5)).toBeNull();
  expect(quantile(counts([1, 0], [Number.POSITIVE_INFINITY, 0]), 0.5)).toBeNull();
  expect(quantile(counts([1, 1], [Number.POSITIVE_INFINITY, 100]), 0.99)).toBe(1);
});
