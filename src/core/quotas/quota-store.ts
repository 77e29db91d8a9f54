import type { QuotaReply, QuotaStep } from "./quota-counter.ts";

/** The store of the counters of quotas. */
export interface QuotaStore {
  /**
   * One atomic {@link quotaStep} on one counter, by the store's clock. Rejects if no response arrived. The store may have executed
   * the step then. It is never resent automatically.
   * @param counterId as of `quota-demand.ts`
   */
  step(counterId: string, step: QuotaStep): Promise<QuotaReply>;
}
