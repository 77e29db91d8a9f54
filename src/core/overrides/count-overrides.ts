import { unknownQuotasOf } from "../limits/applied-limits.ts";
import type { Policy } from "../policy/policy.ts";
import type { NextTurn } from "../revocation/revocation-view.ts";
import { inSteps } from "../revocation/revocation-view.ts";
import type { StoredOverride } from "./override.ts";
import { isInForce } from "./override.ts";
import type { OverrideView } from "./override-view.ts";

/** The overrides that are in force at a time. */
export interface OverrideCount {
  readonly family: number;
  readonly owner: number;
  /** By the name of the plan. It may include plans that the policy does not have. */
  readonly byPlan: ReadonlyMap<string, number>;
  /** Overrides that name a plan or a quota that the policy does not have. */
  readonly unknown: number;
  /** Names of these plans and quotas, in the order of the alphabet. */
  readonly unknownNames: readonly string[];
}

/** Counts the overrides. Yields between steps. */
export async function countOverrides(
  view: Pick<OverrideView, "entries">,
  policy: Pick<Policy, "plans" | "quotaCounts">,
  nowMs: number,
  nextTurn: NextTurn,
): Promise<OverrideCount> {
  const count = { family: 0, owner: 0, unknown: 0 };
  const byPlan = new Map<string, number>();
  const unknownNames = new Set<string>();
  await inSteps(view.entries(), nextTurn, (override) => {
    if (!isInForce(override, nowMs)) return;
    count[override.scope]++;
    const plan = override.content?.plan;
    if (plan !== undefined) byPlan.set(plan, (byPlan.get(plan) ?? 0) + 1);
    const missing = missingNames(override, policy);
    if (missing.length > 0) count.unknown++;
    for (const name of missing) unknownNames.add(name);
  });
  return { ...count, byPlan, unknownNames: [...unknownNames].sort() };
}

function missingNames(
  override: StoredOverride,
  policy: Pick<Policy, "plans" | "quotaCounts">,
): readonly string[] {
  const plan = override.content?.plan;
  const missingPlan = plan === undefined || policy.plans.has(plan) ? [] : [plan];
  return [...missingPlan, ...unknownQuotasOf(override, policy)];
}
