import type { PlanUse } from "../../core/keys/count-plans.ts";
import type { NearLimit, NearLimits } from "../../core/quotas/near-limits.ts";
import { MIN_PERCENT } from "../../core/quotas/near-limits.ts";
import type { Survey, Surveyed } from "../../core/survey/survey.ts";
import type { UsageSpan } from "../../core/usage/ports.ts";
import type { TopUsage, UsageSum } from "../../core/usage/top-usage.ts";
import { DAY_SECONDS } from "../../core/usage/usage-time.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { formatTime } from "../keys/responses.ts";
import type { UsagePorts } from "../keys/usage-body.ts";
import {
  nearLimitsQuery,
  nearLimitsResponse,
  planKeysResponse,
  topUsageQuery,
  topUsageResponse,
} from "./budget-schemas.ts";

/** The periods of {@link TopUsage}, in days. */
export const TOP_DAYS = ["1", "7", "30"] as const;
export type TopDays = (typeof TOP_DAYS)[number];

/** The counts that read a whole store, in the background. */
export interface BudgetSurveys {
  readonly planUse: Survey<PlanUse>;
  readonly nearLimits: Survey<NearLimits>;
  readonly topUsage: Readonly<Record<TopDays, Survey<TopUsage & { readonly span: UsageSpan }>>>;
}

const BACKGROUND =
  "One instance reads the whole store in the background, for all callers together, and keeps the result for a while. A call waits for about a second; then `complete` is false, and the response has what was read so far.";

export function budgetRoutes(
  ports: ApiPorts,
  surveys: BudgetSurveys,
  usage: Pick<UsagePorts, "metering">,
): readonly Endpoint[] {
  return [
    planKeysRoute(ports, surveys.planUse),
    nearLimitsRoute(ports, surveys.nearLimits),
    topUsageRoute(ports, surveys.topUsage, usage),
  ];
}

function counted({ isComplete, startedMs }: Surveyed<unknown>) {
  return { complete: isComplete, as_of: formatTime(Math.floor(startedMs / 1000)) };
}

function planKeysRoute(ports: ApiPorts, survey: BudgetSurveys["planUse"]): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/plans/keys",
    summary: "Count the keys of each plan",
    description: `Counts the active and disabled keys that have a plan by themselves or by their role. Overrides are not taken into account. ${BACKGROUND}`,
    access: operators(ports, "keys:read"),
    writes: false,
    response: { status: 200, description: "The numbers of keys.", schema: planKeysResponse },
    problems: ["store_unavailable"],
    handle: async ({ reply }) => {
      const surveyed = await survey.read();
      const { byPlan, keysRead } = surveyed.result;
      const { plans } = ports.policy();
      const names = [...new Set([...plans.keys(), ...byPlan.keys()])];
      return reply.send({
        plans: names.map((name) => ({ name, known: plans.has(name), keys: byPlan.get(name) ?? 0 })),
        keys_read: keysRead,
        ...counted(surveyed),
      });
    },
  });
}

const DEFAULT_PERCENT = 80;
const DEFAULT_COUNTERS = 100;

function nearLimitsRoute(ports: ApiPorts, survey: BudgetSurveys["nearLimits"]): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/quotas",
    summary: "List the quotas near their end",
    description: `The counters of the present windows of which at least this share is used or leased, those with the largest share first. ${BACKGROUND}`,
    access: operators(ports, "keys:read"),
    writes: false,
    query: nearLimitsQuery,
    response: { status: 200, description: "The counters.", schema: nearLimitsResponse },
    problems: ["store_unavailable"],
    handle: async ({ reply, query }) => {
      const { above = DEFAULT_PERCENT, mode = "enforce", limit = DEFAULT_COUNTERS } = query;
      const surveyed = await survey.read();
      const { counters, byPercent, countersRead } = surveyed.result;
      const found = counters[mode].filter(({ percent }) => percent >= above);
      return reply.send({
        above,
        quotas: found.slice(0, limit).map(nearLimitBody),
        total: byPercent[mode].slice(above - MIN_PERCENT).reduce((sum, count) => sum + count, 0),
        counters_read: countersRead,
        ...counted(surveyed),
      });
    },
  });
}

function nearLimitBody({ quota, resetsAtMs, timeZone: _, ...near }: NearLimit) {
  return { name: quota, ...near, resets_at: formatTime(Math.floor(resetsAtMs / 1000)) };
}

const DEFAULT_TOP = 20;
const LISTS = { owner: "owners", family: "families", route: "routes" } as const;

function topUsageRoute(
  ports: ApiPorts,
  surveys: BudgetSurveys["topUsage"],
  { metering }: Pick<UsagePorts, "metering">,
): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/usage/top",
    summary: "List the largest usage",
    description: `The owners, families or routes with the most requests of a period. ${BACKGROUND}`,
    access: operators(ports, "keys:read"),
    writes: false,
    query: topUsageQuery,
    response: { status: 200, description: "The list.", schema: topUsageResponse },
    problems: ["store_unavailable"],
    handle: async ({ reply, query }) => {
      const { of = "owner", by = "requests", days = "7", limit = DEFAULT_TOP } = query;
      const surveyed = await surveys[days].read();
      const { span, familiesRead, ...lists } = surveyed.result;
      return reply.send({
        of,
        by,
        from: formatTime(span.from * DAY_SECONDS),
        to: formatTime(span.to * DAY_SECONDS),
        top: lists[LISTS[of]][by].slice(0, limit).map(sumBody),
        families_read: familiesRead,
        metering: metering(),
        ...counted(surveyed),
      });
    },
  });
}

function sumBody({ name, owner, requests, cost }: UsageSum) {
  return { name, owner: owner ?? null, ...requests, cost: cost ?? null };
}
