import type { LatchkeyClient } from "../../client/client.ts";
import type { Policy } from "../../core/policy/policy.ts";

/** A plan that keys or overrides of a live instance have, and that a policy lacks. */
export interface LackingPlan {
  readonly plan: string;
  readonly overrides: number;
  /** Active keys. */
  readonly keys: number;
}

/** The plans that would count as none under the policy. Reads the records of all active keys. */
export async function lackingPlans(
  client: Pick<LatchkeyClient, "keys" | "policy">,
  { plans }: Pick<Policy, "plans">,
): Promise<readonly LackingPlan[]> {
  const found = await client.policy.plans();
  const overrides = new Map([...found.plans, ...found.unknown].map((plan) => [plan.name, plan.overrides]));
  const keys = new Map<string, number>();
  for await (const { plan } of client.keys.all({ status: "active", limit: 500 }))
    if (plan !== null) keys.set(plan, (keys.get(plan) ?? 0) + 1);
  return [...new Set([...overrides.keys(), ...keys.keys()])]
    .map((plan) => ({ plan, overrides: overrides.get(plan) ?? 0, keys: keys.get(plan) ?? 0 }))
    .filter((lacking) => !plans.has(lacking.plan) && lacking.overrides + lacking.keys > 0);
}
