import { describe, expect, test } from "vitest";
import type { FleetOptions } from "../../bench/fleet-run.ts";
import { createRandom, runFleet } from "../../bench/fleet-run.ts";
import { runQuotas } from "../../bench/quota-run.ts";

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

describe("a simulated fleet never admits more than a quota in a window", () => {
  const quotas = () => ({
    instances: 20,
    subjects: 10,
    seconds: 6,
    rate: 2000,
    limit: 300,
    random: createRandom(7),
  });

  test("and strands no unit, also when a window ends", async () => {
    const result = await runQuotas(quotas());
    expect(result.overshoot).toBe(0);
    expect(result.ofIdeal).toBeGreaterThan(0.999);
  });

  test("if instances crash", async () => {
    const result = await runQuotas({ ...quotas(), crashes: 0.1 });
    expect(result.overshoot).toBeLessThanOrEqual(0);
    expect(result.ofIdeal).toBeGreaterThan(0.98);
  });

  test("beyond what it admits while the store is unavailable", async () => {
    const run = { ...quotas(), outage: { from: 1, to: 2.5 } };
    const result = await runQuotas(run);
    // The outage lies in the first window, and its requests are spread over the subjects.
    const perSubject = (1.5 * run.rate) / run.subjects;
    expect(result.overshoot).toBeLessThanOrEqual(1.5 * perSubject);
  });
});
