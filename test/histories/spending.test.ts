import { expect, test } from "vitest";
import { LIMIT } from "./fleet.ts";
import { overshoot } from "./spending.ts";

const every = (ms: number, count: number) => Array.from({ length: count }, (_, at) => at * ms);

test("two buckets, with twice the refill, are the bound, and one more for a loss", () => {
  const doubled = 1000 / (2 * LIMIT.refillPerSecond);
  expect(overshoot({ admittedMs: every(doubled, 1000), lossesMs: [] })).toEqual([]);
  expect(overshoot({ admittedMs: every(doubled / 2, 1000), lossesMs: [] })).toHaveLength(1);
  const burst = Array.from({ length: 3 * LIMIT.capacity }, () => 5);
  expect(overshoot({ admittedMs: burst, lossesMs: [] })).toHaveLength(1);
  expect(overshoot({ admittedMs: burst, lossesMs: [4] })).toEqual([]);
});
