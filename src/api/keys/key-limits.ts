import type { Principal } from "../../core/decision/principal.ts";
import { appliedLimits } from "../../core/limits/applied-limits.ts";
import { bucketDemands } from "../../core/limits/bucket-demands.ts";
import type { BucketDemand } from "../../core/limits/ports.ts";
import type { OverrideFinder } from "../../core/overrides/override-view.ts";
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
  overrides: OverrideFinder,
  nowMs: number,
): KeyLimits | undefined {
  const role = policy.roles.get(key.role);
  if (role === undefined) return undefined;
  const { limits, plan } = appliedLimits(policy, role, key, overrides, nowMs);
  return {
    plan,
    demands: bucketDemands(limits, key, () => "").filter(({ limit }) => limit.per !== "address"),
    quotas: limits.quotas,
  };
}
