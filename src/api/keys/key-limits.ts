import type { Principal } from "../../core/decision/principal.ts";
import { appliedLimits } from "../../core/limits/applied-limits.ts";
import { bucketDemands } from "../../core/limits/bucket-demands.ts";
import type { BucketDemand } from "../../core/limits/ports.ts";
import type { Plan } from "../../core/policy/policy.ts";
import { createCalendars } from "../../core/quotas/calendar.ts";
import type { QuotaDemand } from "../../core/quotas/quota-demand.ts";
import { allQuotaDemands } from "../../core/quotas/quota-demand.ts";
import type { ApiPorts } from "../http/calls.ts";

/** What limits a key. Buckets per address belong to no key and are not included. */
export interface KeyLimits {
  readonly plan: Plan | undefined;
  readonly buckets: readonly BucketDemand[];
  readonly quotas: readonly QuotaDemand[];
}

/** Undefined if the policy no longer has the role. */
export function keyLimits(
  { registry, policy, nowMs }: Pick<ApiPorts, "registry" | "policy" | "nowMs">,
  key: Pick<Principal, "family" | "owner" | "role" | "plan">,
): KeyLimits | undefined {
  const current = policy();
  const role = current.roles.get(key.role);
  if (role === undefined) return undefined;
  const { limits, plan } = appliedLimits(current, role, key, registry.view.overrides, nowMs());
  return {
    plan,
    buckets: bucketDemands(limits, key, () => "").filter(({ limit }) => limit.per !== "address"),
    quotas: allQuotaDemands(limits.quotas, key, createCalendars()),
  };
}
