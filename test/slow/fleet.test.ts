import { describe, expect, test } from "vitest";
import type { FleetOptions } from "../../bench/fleet-run.ts";
import { runFleet } from "../../bench/fleet-run.ts";

const limit = { name: "n", per: "key", capacity: 50, refillPerSecond: 5, leased: true } as const;
const options: FleetOptions = {
  instances: 40,
  keys: 300,
  seconds: 10,
  rate: 3000,
  spread: 4,
  limit,
  seed: 7,
};
/** Sums of doubles. */
const ROUNDING = 0.001;

describe("a simulated fleet never admits more than its bound", () => {
  test("when all is well, nor much less", async () => {
    const result = await runFleet(options);
    expect(result.overshoot).toBeLessThanOrEqual(ROUNDING);
    expect(result.admittedOverIdeal).toBeGreaterThan(0.98);
  });

  test("when every instance sees every key, and some crash", async () => {
    const result = await runFleet({ ...options, spread: options.instances, crashes: 0.05 });
    expect(result.overshoot).toBeLessThanOrEqual(ROUNDING);
  });

  test("when the store is away: r · outage more at most", async () => {
    const result = await runFleet({ ...options, outage: { from: 4, to: 7 } });
    expect(result.overshoot).toBeLessThanOrEqual(limit.refillPerSecond * 3 + ROUNDING);
  });

  test("when the store loses everything: one capacity more at most, and it is seen", async () => {
    const result = await runFleet({ ...options, lossAt: 5 });
    expect(result.overshoot).toBeLessThanOrEqual(limit.capacity + ROUNDING);
    expect(result.overshoot).toBeGreaterThan(limit.capacity / 2);
  });
});
