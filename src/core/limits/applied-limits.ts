import { createClockCache } from "../cache/clock-cache.ts";
import { createRepeats } from "../cache/repeats.ts";
import type { Principal } from "../decision/principal.ts";
import { ownerOf } from "../decision/principal.ts";
import type { OverrideQuota, StoredOverride } from "../overrides/override.ts";
import type { OverrideFinder } from "../overrides/override-view.ts";
import { NO_OVERRIDES } from "../overrides/override-view.ts";
import type { LimitList, Plan, Policy, Quota, Role } from "../policy/policy.ts";
import { countsRequests } from "../quotas/quota-demand.ts";

/** The fields of a key that its limits depend on. */
type LimitedKey = Pick<Principal, "plan" | "family" | "owner">;
type Limits = Pick<Policy, "plans" | "quotaCounts">;

/** What names a plan or limits, in the order of precedence. */
export type LimitSource = "override of the family" | "override of the owner" | "key" | "role";

/** The limits and quotas of a key, and why they apply. */
export interface AppliedLimits {
  /** Each list comes whole from the first source that has it. */
  readonly limits: LimitList;
  /** The first plan that is named and known. Absent: the role's own limits apply. */
  readonly plan?: Plan;
  readonly planSource: LimitSource;
  /** The override whose quotas apply; absent: those of a plan or of the role. */
  readonly quotaSource?: LimitSource;
  /** Plans that are named, and that the policy does not have. */
  readonly unknownPlans: readonly string[];
  /** Quotas that an override names, and that the policy does not have. The quotas of this override do not apply. */
  readonly unknownQuotas: readonly string[];
  /** A plan or a quota is unknown and nothing else limits the key. Such a key must not be served without limits. */
  readonly isUnbounded: boolean;
  /** Milliseconds at which an override expires, so that the limits must be determined again. */
  readonly validUntilMs: number;
}

/**
 * The limits and quotas of a key: those of the override of its family, of the override of its owner, of its own plan, of its
 * role's plan, or of its role. A plan that the policy does not have counts as none.
 */
export function appliedLimits(
  policy: Limits,
  role: Role,
  key: LimitedKey,
  overrides: OverrideFinder,
  nowMs: number,
): AppliedLimits {
  const ofFamily = overrides.inForce("family", key.family, nowMs);
  const ofOwner = overrides.inForce("owner", ownerOf(key), nowMs);
  const named = [
    { source: "override of the family", override: ofFamily, plan: ofFamily?.content?.plan },
    { source: "override of the owner", override: ofOwner, plan: ofOwner?.content?.plan },
    { source: "key", override: undefined, plan: key.plan },
  ] as const;
  // From the last source to the first, so that each one replaces the lists of those after it.
  let limits = role.plan?.over(role) ?? role;
  let [plan, planSource]: [Plan | undefined, LimitSource] = [role.plan, "role"];
  let quotaSource: LimitSource | undefined;
  for (const { source, override, plan: name } of named.toReversed()) {
    const known = name === undefined ? undefined : policy.plans.get(name);
    if (known !== undefined) {
      limits = known.over(limits);
      [plan, planSource] = [known, source];
      if (known.quotas !== undefined) quotaSource = undefined;
    }
    const quotas = override && overriddenQuotas(override, policy);
    if (quotas !== undefined) [limits, quotaSource] = [{ ...listsOf(limits), quotas }, source];
  }
  const unknownPlans = named.flatMap(({ plan: name }) =>
    name === undefined || policy.plans.has(name) ? [] : [name],
  );
  const unknownQuotas = [ofFamily, ofOwner].flatMap((override) => unknownQuotasOf(override, policy));
  const isLimited = limits.rateLimits.length > 0 || limits.quotas.some(countsRequests);
  const isUnlimited = plan === undefined && !isLimited;
  return {
    limits,
    ...(plan && { plan }),
    planSource,
    ...(quotaSource && { quotaSource }),
    unknownPlans,
    unknownQuotas,
    isUnbounded: isUnlimited && unknownPlans.length + unknownQuotas.length > 0,
    validUntilMs: 1000 * Math.min(expiryOf(ofFamily), expiryOf(ofOwner)),
  };
}

/** A role is a list with many more members. */
function listsOf({ bucketPrefix, rateLimits, quotas }: LimitList): LimitList {
  return { bucketPrefix, rateLimits, quotas };
}

function expiryOf(override: StoredOverride | undefined): number {
  return override?.expiresAt ?? Number.POSITIVE_INFINITY;
}

/** The quotas of an override. Undefined if it has none, or names one that the policy does not have. */
function overriddenQuotas(
  override: StoredOverride,
  { quotaCounts }: Pick<Limits, "quotaCounts">,
): readonly Quota[] | undefined {
  const named = override.content?.quotas;
  const quotas = named?.flatMap(({ name, limit, extra }) => {
    const count = quotaCounts.get(name);
    if (count === undefined) return [];
    return [{ ...count, name, limit, ...(extra > 0 && { extra: { units: extra, atMs: override.version } }) }];
  });
  return quotas?.length === named?.length ? quotas : undefined;
}

/** Names of quotas that an override has and the policy does not have. */
export function unknownQuotasOf(
  override: Pick<StoredOverride, "content"> | undefined,
  { quotaCounts }: Pick<Limits, "quotaCounts">,
): readonly string[] {
  const named: readonly OverrideQuota[] = override?.content?.quotas ?? [];
  return named.map(({ name }) => name).filter((name) => !quotaCounts.has(name));
}

/** Keys whose limits are kept: those of most requests. */
const MAX_KEPT_KEYS = 4096;

/** {@link appliedLimits} of one view of overrides, with a cache. */
export type FindLimits = (policy: Limits, role: Role, key: LimitedKey, nowMs: number) => AppliedLimits;

interface KeptLimits {
  readonly policy: Limits;
  readonly role: Role;
  readonly generation: number;
  readonly applied: AppliedLimits;
}

/**
 * The limits of a key are the same until the policy or an override changes, or an override expires. Until then the same key gets
 * the same object, so a cache can compare it, and a warm call allocates nothing. A key without an override is kept from its second
 * use on.
 */
export function createFindLimits(overrides: OverrideFinder): FindLimits {
  const kept = createClockCache<LimitedKey, KeptLimits>(MAX_KEPT_KEYS);
  const isRepeated = createRepeats<LimitedKey>(({ family }) => family);
  const sharedLimits = createSharedLimits();
  return (policy, role, key, nowMs) => {
    const generation = overrides.generation();
    const known = kept.get(key);
    if (
      known !== undefined &&
      known.generation === generation &&
      known.policy === policy &&
      known.role === role &&
      nowMs < known.applied.validUntilMs
    )
      return known.applied;
    const isOverridden = hasOverride(overrides, key, nowMs);
    const applied = isOverridden
      ? appliedLimits(policy, role, key, overrides, nowMs)
      : sharedLimits(policy, role, key);
    if (isOverridden || isRepeated(key)) kept.set(key, { policy, role, generation, applied });
    return applied;
  };
}

function hasOverride(overrides: OverrideFinder, key: LimitedKey, nowMs: number): boolean {
  return (
    overrides.inForce("family", key.family, nowMs) !== undefined ||
    overrides.inForce("owner", ownerOf(key), nowMs) !== undefined
  );
}

/** Keys without an override share the limits of their role and plan. */
function createSharedLimits(): (policy: Limits, role: Role, key: LimitedKey) => AppliedLimits {
  const byRole = new WeakMap<Role, Map<Plan | undefined, AppliedLimits>>();
  return (policy, role, key) => {
    const plan = key.plan === undefined ? undefined : policy.plans.get(key.plan);
    const find = () => appliedLimits(policy, role, key, NO_OVERRIDES, 0);
    // Another issuer can name any number of unknown plans.
    if (key.plan !== undefined && plan === undefined) return find();
    const byPlan = byRole.get(role) ?? new Map<Plan | undefined, AppliedLimits>();
    const applied = byPlan.get(plan) ?? find();
    if (!byPlan.has(plan)) byRole.set(role, byPlan.set(plan, applied));
    return applied;
  };
}

/** Says which plan applies to a key, and why. */
export function describePlan(applied: AppliedLimits, role: Role, key: LimitedKey): string {
  const { plan, planSource, quotaSource, unknownPlans, unknownQuotas } = applied;
  const nameOf = (source: LimitSource) => {
    if (source === "role") return `role ${role.name}`;
    return source === "override of the owner" ? `${source} ${ownerOf(key)}` : source;
  };
  return [
    ...unknownPlans.map((name) => `${name}, which is not in the policy`),
    ...unknownQuotas.map((name) => `quota ${name}, which is not in the policy`),
    `${plan?.name ?? "no plan"}, by the ${nameOf(planSource)}`,
    ...(quotaSource === undefined ? [] : [`quotas by the ${nameOf(quotaSource)}`]),
  ].join("; ");
}
