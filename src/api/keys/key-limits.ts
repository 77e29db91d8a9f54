import type { Principal } from "../../core/decision/principal.ts";
import { appliedLimits, appliedPlan } from "../../core/limits/applied-limits.ts";
import { bucketDemands } from "../../core/limits/bucket-demands.ts";
import type { BucketDemand } from "../../core/limits/ports.ts";
import type { Plan, Policy, Quota } from "../../core/policy/policy.ts";

/** What limits a key. Buckets per address belong to no key and are not included. */
export interface KeyLimits {
  readonly plan: Plan | undefined;
  readonly demands: readonly BucketDemand[];
  readonly quotas: readonly Quota[];
}

/** Undefined if the policy no longer has the role. */
export function keyLimits(
  policy: Policy,
  key: Pick<Principal, "family" | "owner" | "role" | "plan">,
): KeyLimits | undefined {
  const role = policy.roles.get(key.role);
  if (role === undefined) return undefined;
  const limits = appliedLimits(policy, role, key);
  return {
    plan: appliedPlan(policy, role, key),
    demands: bucketDemands(limits, key, () => "").filter(({ limit }) => limit.per !== "address"),
    quotas: limits.quotas,
  };
}
