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
/** For sums of doubles. */
const ROUNDING = 0.001;

describe("a simulated fleet never admits more than its bound", () => {
  test("without faults, a fleet admits its bound and not much less", async () => {
    const result = await runFleet(options);
    expect(result.overshoot).toBeLessThanOrEqual(ROUNDING);
    expect(result.admittedOverIdeal).toBeGreaterThan(0.98);
  });

  test("the bound applies if every instance sees every key and some crash", async () => {
    const result = await runFleet({ ...options, spread: options.instances, crashes: 0.05 });
    expect(result.overshoot).toBeLessThanOrEqual(ROUNDING);
  });

  test("if the store is unavailable, a fleet admits at most r · outage more", async () => {
    const result = await runFleet({ ...options, outage: { from: 4, to: 7 } });
    expect(result.overshoot).toBeLessThanOrEqual(limit.refillPerSecond * 3 + ROUNDING);
  });

  test("if the store loses all data, a fleet admits at most one capacity more, and the loss is visible", async () => {
    const result = await runFleet({ ...options, lossAt: 5 });
    expect(result.overshoot).toBeLessThanOrEqual(limit.capacity + ROUNDING);
    expect(result.overshoot).toBeGreaterThan(limit.capacity / 2);
  });
});
