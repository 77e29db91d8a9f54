import type { LimitList, Plan, Quota, QuotaCount, RateLimit } from "../core/policy/policy.ts";
import type { PolicyDocument } from "./schema.ts";

type PlanEntry = PolicyDocument["plans"][string];
type RateLimitEntries = NonNullable<PlanEntry["rate_limits"]>;
export type QuotaEntries = NonNullable<PlanEntry["quotas"]>;

/** Converts `plans`. */
export function toPlans({ plans }: Pick<PolicyDocument, "plans">): ReadonlyMap<string, Plan> {
  return new Map(Object.entries(plans).map(([name, entry]) => [name, toPlan(name, entry)]));
}

function toPlan(name: string, { rate_limits: limitEntries, quotas: quotaEntries }: PlanEntry): Plan {
  const rateLimits = limitEntries && toRateLimits(limitEntries);
  const quotas = quotaEntries && toQuotas(quotaEntries);
  const merged = new WeakMap<LimitList, LimitList>();
  const merge = (fallback: LimitList): LimitList => ({
    // The name of a role contains no slash.
    bucketPrefix: rateLimits === undefined ? fallback.bucketPrefix : `plan/${name}`,
    rateLimits: rateLimits ?? fallback.rateLimits,
    quotas: quotas ?? fallback.quotas,
  });
  return {
    name,
    ...(rateLimits && { rateLimits }),
    ...(quotas && { quotas }),
    over(fallback) {
      const known = merged.get(fallback);
      if (known !== undefined) return known;
      const lists = merge(fallback);
      merged.set(fallback, lists);
      return lists;
    },
  };
}

/** Converts `rate_limits`. */
export function toRateLimits(entries: RateLimitEntries): readonly RateLimit[] {
  return entries.map(({ refill, lease, ...limit }) => ({ ...limit, refillPerSecond: refill, leased: lease }));
}

/** Converts `quotas`. */
export function toQuotas(entries: QuotaEntries): readonly Quota[] {
  return entries.map(({ time_zone: timeZone = "UTC", ...quota }) => ({ ...quota, timeZone }));
}

/** How each quota counts. A checked file has one way for each name. */
export function toQuotaCounts({
  plans,
  roles,
}: Pick<PolicyDocument, "plans"> & { readonly roles: NonNullable<PolicyDocument["roles"]> }): ReadonlyMap<
  string,
  QuotaCount
> {
  const quotas = [...Object.values(plans), ...Object.values(roles)].flatMap((lists) =>
    toQuotas(lists.quotas ?? []),
  );
  return new Map(
    quotas.map(({ name, per, every, timeZone, unit }) => [name, { per, every, timeZone, unit }]),
  );
}
