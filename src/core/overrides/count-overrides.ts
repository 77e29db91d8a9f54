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
  await inSteps(view.entries(), nextTurn, (override) => {
    if (!isInForce(override, nowMs)) return;
    count[override.scope]++;
    const plan = override.content?.plan;
    if (plan !== undefined) byPlan.set(plan, (byPlan.get(plan) ?? 0) + 1);
    if (namesUnknown(override, policy)) count.unknown++;
  });
  return { ...count, byPlan };
}

function namesUnknown(override: StoredOverride, policy: Pick<Policy, "plans" | "quotaCounts">): boolean {
  const plan = override.content?.plan;
  return (plan !== undefined && !policy.plans.has(plan)) || unknownQuotasOf(override, policy).length > 0;
}
