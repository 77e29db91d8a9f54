import type { Plan } from "../policy/policy.ts";
import type { SurveyRun } from "../survey/survey.ts";
import type { StatusDeps } from "./key-view.ts";
import { viewOf } from "./key-view.ts";
import type { KeyListing } from "./ports.ts";

/** How many live keys have each plan, by themselves or by their role. Overrides are not taken into account. */
export interface PlanUse {
  /** By the name of the plan. It may include plans that the policy does not have. */
  readonly byPlan: ReadonlyMap<string, number>;
  readonly keysRead: number;
}

type RoleWithPlan = { readonly plan?: Pick<Plan, "name"> };

/** Records read at a time, few enough not to delay Checks. */
const PORTION = 250;

export function planUseRun(
  deps: StatusDeps & {
    readonly store: KeyListing;
    readonly policy: () => { readonly roles: ReadonlyMap<string, RoleWithPlan> };
  },
): SurveyRun<PlanUse> {
  const byPlan = new Map<string, number>();
  let keysRead = 0;
  return {
    soFar: () => ({ byPlan: new Map(byPlan), keysRead }),
    async read(pace) {
      let cursor: string | undefined;
      do {
        const page = await deps.store.page({ limit: PORTION, ...(cursor !== undefined && { cursor }) });
        // The store has just returned the cursor.
        if (page === "cursor_unknown") throw new Error("the store does not know its cursor");
        const { roles } = deps.policy();
        for (const { record } of page.entries) {
          keysRead++;
          const plan = record.plan ?? roles.get(record.role)?.plan?.name;
          if (plan !== undefined && isLive(viewOf(deps, record).status))
            byPlan.set(plan, (byPlan.get(plan) ?? 0) + 1);
        }
        cursor = page.nextCursor;
        await pace();
      } while (cursor !== undefined);
    },
  };
}

/** A disabled key can be enabled again. A superseded one leaves its plan to its successor. */
function isLive(status: ReturnType<typeof viewOf>["status"]): boolean {
  return status === "active" || status === "disabled";
}
