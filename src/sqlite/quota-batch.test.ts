import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import type { QuotaReply, QuotaStep } from "../core/quotas/quota-step.ts";
import { StoreUnavailable } from "../core/store-unavailable.ts";
import { createQuotaStore } from "./quota-batch.ts";

const STEP: QuotaStep = {
  limit: 1,
  windows: { startMs: 0, endMs: 1, nextEndMs: 2 },
  settlements: [],
};

test("while the disk hangs, steps reject within about a second, and at once after that, until it works again", async () => {
  const hanging = Promise.withResolvers<readonly QuotaReply[]>();
  const reply = {} as QuotaReply;
  const taken: number[] = [];
  const store = createQuotaStore((steps) => {
    taken.push(steps.length);
    return taken.length === 1 ? hanging.promise : Promise.resolve(steps.map(() => reply));
  });
  const first = expect(store.step("a", STEP)).rejects.toThrow(StoreUnavailable);
  await Promise.resolve();
  await Promise.resolve();
  // It waits behind the transaction, and is not taken later: its caller has decided without it.
  const second = expect(store.step("b", STEP)).rejects.toThrow(StoreUnavailable);
  await Promise.all([first, second]);
  const third = store.step("a", STEP);
  await expect(Promise.race([third, nextTurn()])).rejects.toThrow(StoreUnavailable);
  hanging.resolve([reply]);
  await expect.poll(() => store.step("a", STEP).catch(() => undefined)).toBe(reply);
  expect(taken).toEqual([1, 1]);
});
