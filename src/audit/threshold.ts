import type { QuotaSubject } from "../core/policy/policy.ts";
import type { QuotaThreshold } from "../core/quotas/quota-exchange.ts";

/** The audit field of each kind of subject. */
const SUBJECT_FIELDS = { key: "family", owner: "owner", role: "role" } as const satisfies Record<
  QuotaSubject,
  string
>;

/** The audit fields of a quota of which so much is used. */
export function thresholdFields({ quota, subject, mode, percent, windowMs }: QuotaThreshold) {
  return {
    event: "quota_threshold",
    quota: quota.name,
    percent,
    limit: quota.limit,
    unit: quota.unit,
    [SUBJECT_FIELDS[quota.per]]: subject,
    mode,
    window: new Date(windowMs).toISOString(),
  };
}
