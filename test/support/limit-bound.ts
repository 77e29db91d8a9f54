import { expect } from "vitest";

export interface Bound {
  readonly capacity: number;
  readonly refillPerSecond: number;
  readonly outageSeconds: number;
  /** Tokens by which lost writes of Redis raise the bound. */
  readonly lost?: number;
}

/**
 * C + r·(T + outage), and what losses allow, over every span: a bucket of that size never runs below zero.
 * @param admitted when each request was admitted, in milliseconds
 */
export function expectBound(
  admitted: readonly number[],
  { capacity, refillPerSecond, outageSeconds, lost = 0 }: Bound,
): void {
  const full = capacity + lost + refillPerSecond * outageSeconds + 1;
  let level = full;
  let lowest = full;
  let beforeMs = Number.NEGATIVE_INFINITY;
  for (const atMs of [...admitted].sort((a, b) => a - b)) {
    level = Math.min(full, level + (refillPerSecond * (atMs - beforeMs)) / 1000) - 1;
    lowest = Math.min(lowest, level);
    beforeMs = atMs;
  }
  expect(lowest).toBeGreaterThanOrEqual(0);
}
