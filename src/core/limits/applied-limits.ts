import type { Principal } from "../decision/principal.ts";
import type { LimitList, Plan, Policy, Role } from "../policy/policy.ts";

type PlanClaim = Pick<Principal, "plan">;
type Plans = Pick<Policy, "plans">;

/**
 * The limits and quotas of a key: those of its own plan, of its role's plan, or of its role. Each list comes whole from the first
 * of them that has it. A plan that the policy does not have counts as none. The same policy and key always return the same object,
 * so a cache can compare it.
 */
export function appliedLimits(policy: Plans, role: Role, key: PlanClaim): LimitList {
  const ofRole = role.plan?.over(role) ?? role;
  return claimedPlan(policy, key)?.over(ofRole) ?? ofRole;
}

/** The plan that applies to a key, in the order of precedence; undefined if the role's own limits apply. */
export function appliedPlan(policy: Plans, role: Role, key: PlanClaim): Plan | undefined {
  return claimedPlan(policy, key) ?? role.plan;
}

function claimedPlan({ plans }: Plans, { plan }: PlanClaim): Plan | undefined {
  return plan === undefined ? undefined : plans.get(plan);
}

/** Whether the key has a plan that the policy does not have. */
export function hasUnknownPlan({ plans }: Plans, { plan }: PlanClaim): boolean {
  return plan !== undefined && !plans.has(plan);
}

/** Says which plan applies to a key, and why. */
export function describePlan(policy: Plans, role: Role, key: PlanClaim): string {
  const unknown = hasUnknownPlan(policy, key) ? [`${key.plan}, which is not in the policy`] : [];
  const applied = claimedPlan(policy, key);
  if (applied !== undefined) return `${applied.name}, by the key`;
  const byRole =
    role.plan === undefined
      ? `no plan, by the role ${role.name}`
      : `${role.plan.name}, by the role ${role.name}`;
  return [...unknown, byRole].join("; ");
}
