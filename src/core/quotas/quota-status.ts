import type { ExceededQuota, RateStatus } from "../decision/decision.ts";
import type { QuotaDemand } from "./quota-demand.ts";
import { unitLimit } from "./quota-demand.ts";

/** What the `RateLimit` headers say about one quota. */
export function quotaStatus(demand: QuotaDemand, freeUnits: number, nowMs: number): RateStatus {
  const { startMs, endMs } = demand.calendar(nowMs);
  return {
    name: demand.quota.name,
    capacity: unitLimit(demand, nowMs),
    windowSeconds: Math.round((endMs - startMs) / 1000),
    remaining: Math.max(0, freeUnits),
    resetSeconds: Math.ceil((endMs - nowMs) / 1000),
  };
}

export function exceededQuota(demand: QuotaDemand, nowMs: number): ExceededQuota {
  const { quota, calendar } = demand;
  return { name: quota.name, limit: unitLimit(demand, nowMs), resetsAtMs: calendar(nowMs).endMs };
}
