import { describe, expect, test } from "vitest";
import { createCalendars } from "./calendar.ts";
import { newCounter, quotaStep } from "./quota-counter.ts";
import type { QuotaStep } from "./quota-step.ts";
import { sendInWindow } from "./send-in-window.ts";

const HOUR_MS = 3_600_000;
const T = 500_000 * HOUR_MS;
const calendar = createCalendars()({ every: "hour", timeZone: "UTC" });
const STEP = { limit: 10, settlements: [{ leaseId: "l", unspentTokens: 1 }] };

/** Sends a step while the store has these times, and the instance has T. */
function send(...timesMs: readonly number[]) {
  const steps: (readonly [string, QuotaStep])[] = [];
  const counter = newCounter();
  const store = {
    async step(counterId: string, step: QuotaStep) {
      steps.push([counterId, step]);
      return quotaStep(counter, step, (timesMs[steps.length - 1] ?? expect.unreachable()) * 1000);
    },
  };
  return { steps, reply: sendInWindow({ store, storeNowMs: () => T }, "quota/key:q:f", calendar, STEP) };
}

const sentAt = (nowMs: number) => ["quota/key:q:f", { ...STEP, windows: calendar(nowMs) }];

describe("the windows of a step", () => {
  test("are those of the instance's clock, if the store's time is in one of them", async () => {
    for (const storeMs of [T, T + 2 * HOUR_MS - 1]) {
      const { steps, reply } = send(storeMs);
      expect(await reply).toMatchObject({ inWindows: true, nowMs: storeMs });
      expect(steps).toEqual([sentAt(T)]);
    }
  });

  test("are otherwise those of the store's time, with the same step", async () => {
    for (const storeMs of [T - 1, T + 2 * HOUR_MS]) {
      const { steps, reply } = send(storeMs, storeMs);
      expect(await reply).toMatchObject({ inWindows: true, nowMs: storeMs });
      expect(steps).toEqual([sentAt(T), sentAt(storeMs)]);
    }
  });

  test("are not sought without end: a store whose clock jumps rejects the step", async () => {
    const { reply } = send(T - 1, T + 9 * HOUR_MS);
    await expect(reply).rejects.toThrow("the clock of the store is not steady");
  });
});
