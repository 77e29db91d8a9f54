import type { RememberCharge } from "../core/quotas/quota-charge.ts";
import type { QuotaCounter } from "../core/quotas/quota-counter.ts";
import { newCounter, quotaStep } from "../core/quotas/quota-counter.ts";
import type { QuotaStore } from "../core/quotas/quota-store.ts";

/** Counters in memory, for cases: they are never removed. */
export function createQuotaStore(nowMs: () => number): QuotaStore {
  const counters = new Map<string, QuotaCounter>();
  const charges = new Set<string>();
  const rememberFor =
    (counterId: string): RememberCharge =>
    (id) => {
      const before = charges.size;
      charges.add(`${counterId} ${id}`);
      return charges.size > before;
    };
  return {
    async step(counterId, step) {
      const counter = counters.get(counterId) ?? newCounter();
      counters.set(counterId, counter);
      return quotaStep(counter, step, nowMs() * 1000, rememberFor(counterId));
    },
  };
}
