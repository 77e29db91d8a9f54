import type { ExceededQuota, RateStatus } from "../decision/decision.ts";
import type { QuotaDemand } from "./quota-demand.ts";

/** What the `RateLimit` headers say about one quota. */
export function quotaStatus({ quota, calendar }: QuotaDemand, freeUnits: number, nowMs: number): RateStatus {
  const { startMs, endMs } = calendar(nowMs);
  return {
    name: quota.name,
    capacity: quota.limit,
    windowSeconds: Math.round((endMs - startMs) / 1000),
    remaining: Math.max(0, freeUnits),
    resetSeconds: Math.ceil((endMs - nowMs) / 1000),
  };
}

export function exceededQuota({ quota, calendar }: QuotaDemand, nowMs: number): ExceededQuota {
  return { name: quota.name, limit: quota.limit, resetsAtMs: calendar(nowMs).endMs };
}
