import type { QuotaCounter } from "../core/quotas/quota-counter.ts";
import { newCounter, quotaStep } from "../core/quotas/quota-counter.ts";
import type { QuotaStore } from "../core/quotas/quota-store.ts";

/** Counters in memory, for cases: they are never removed. */
export function createQuotaStore(nowMs: () => number): QuotaStore {
  const counters = new Map<string, QuotaCounter>();
  return {
    async step(counterId, step) {
      const counter = counters.get(counterId) ?? newCounter();
      counters.set(counterId, counter);
      return quotaStep(counter, step, nowMs() * 1000);
    },
  };
}
