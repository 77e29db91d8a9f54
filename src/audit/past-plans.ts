import type { Plan, Policy } from "../core/policy/policy.ts";

/** The plan of a past request's key, as its audit line has it. */
interface PastKey {
  readonly key_id?: string | undefined;
  readonly role?: string | undefined;
  /** Null: the key had no plan. Undefined: an older version wrote the line. */
  readonly plan?: string | null | undefined;
}

/**
 * The plans that the key may have under this policy; undefined stands for no plan. There is one if the line shows it. Otherwise
 * the list has no plan, the strictest and the widest plan: if their decisions are the same, so is that of every other plan.
 */
export function possiblePlans(
  { key_id: keyId, role, plan }: PastKey,
  policy: Policy,
): readonly (string | undefined)[] {
  const issuer = policy.issuers.find(({ name }) => keyId?.startsWith(`${name}:`));
  // The policy of then may have had another list of the issuer's plans. The token may name several.
  if (issuer !== undefined) {
    const listed = typeof plan === "string" && issuer.plans.includes(plan) ? [plan] : [];
    return [...new Set([...listed, undefined, ...extremes(issuer.plans, policy)])];
  }
  if (typeof plan === "string") return [plan];
  if (role === undefined) return [undefined];
  return plan === null ? [undefined] : [undefined, ...extremes([...policy.plans.keys()], policy)];
}

function extremes(names: readonly string[], { plans }: Policy): readonly string[] {
  const sorted = names
    .flatMap((name) => plans.get(name) ?? [])
    // A plan without limits decides like no plan, which is in the list already.
    .filter(({ rateLimits }) => rateLimits !== undefined)
    .sort((a, b) => smallestCapacity(a) - smallestCapacity(b));
  return [...new Set([sorted[0], sorted.at(-1)])].flatMap((plan) => plan?.name ?? []);
}

/** Larger than any number for a plan without limits. `Infinity` would not be comparable with itself by subtraction. */
function smallestCapacity({ rateLimits = [] }: Plan): number {
  return Math.min(Number.MAX_SAFE_INTEGER, ...rateLimits.map(({ capacity }) => capacity));
}
