import type { QuotaLevel } from "../limits/ports.ts";
import type { QuotaCounter } from "./quota-counter.ts";
import { quotaStep } from "./quota-counter.ts";
import type { QuotaDemand } from "./quota-demand.ts";
import { unitLimit } from "./quota-demand.ts";
import type { QuotaReply, QuotaStep } from "./quota-step.ts";

/** The store of the counters of quotas. */
export interface QuotaStore {
  /**
   * One atomic {@link quotaStep} on one counter, by the store's clock. Rejects if no response arrived. The store may have executed
   * the step then. It is never resent automatically.
   * @param counterId as of `quota-demand.ts`
   */
  step(counterId: string, step: QuotaStep): Promise<QuotaReply>;
  /** As of `PostingStore`. */
  historyOf?(counterId: string): string;
}

/** How a counter is shown to operators. Takes no step on it: `counter` is a copy. */
export function quotaLevel(demand: QuotaDemand, counter: QuotaCounter, nowUs: number): QuotaLevel {
  const windows = demand.calendar(Math.floor(nowUs / 1000));
  const { quota, extra } = demand;
  const reply = quotaStep(counter, { limit: quota.limit, extra, windows, settlements: [] }, nowUs);
  return {
    demand,
    limitUnits: unitLimit(demand, Math.floor(nowUs / 1000)),
    usedUnits: reply.used,
    leasedUnits: reply.leased,
    resetsAtMs: Math.round((nowUs + reply.leftUs) / 1000),
  };
}
