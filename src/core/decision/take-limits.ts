import type { LegacyNotice } from "../legacy/migration.ts";
import type { AppliedLimits } from "../limits/applied-limits.ts";
import { describePlan } from "../limits/applied-limits.ts";
import { takeCharged } from "../limits/charged-take.ts";
import type { TakeOutcome } from "../limits/ports.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import { chain, chainWith } from "../maybe-promise.ts";
import type { LimitList, Role } from "../policy/policy.ts";
import type { Route } from "../policy/route-table.ts";
import type { Decision } from "./decision.ts";
import type { Principal } from "./principal.ts";
import type { RequestContext } from "./request-context.ts";
import { denyAt } from "./request-context.ts";
import { describeCost, describeLimitList, describeLimits } from "./trace.ts";

/** Who makes a request. */
export interface Identity {
  readonly principal: Principal;
  readonly notice?: LegacyNotice;
  readonly overridePlan?: string;
}

/** A request that lacks nothing but the tokens. */
export interface PermittedRequest {
  readonly context: RequestContext;
  readonly route: Route;
  readonly identity: Identity;
  readonly scopes: readonly string[];
}

/** The last step: takes from the limits and quotas that apply to the key. */
export function takeLimits(scoped: PermittedRequest, role: Role): MaybePromise<Decision> {
  const { context, route } = scoped;
  const { ports, nowMs } = context;
  const applied = limitsOf(context, scoped.identity.principal, role);
  const permitted = withOverride(scoped, applied);
  const { identity } = permitted;
  const { limits, isUnbounded } = applied;
  if (isUnbounded && route.cost > 0) {
    const observed = "no limit, because a plan or quota is not in the policy";
    return denyAt(context, "limits", observed, "limits_unavailable", identity);
  }
  if (exceedsCapacity(route.cost, limits)) {
    // The policy file is checked for this. So the cost comes from context_extensions, or the key's own plan is too small.
    return denyAt(context, "limits", `cost ${route.cost}, above a capacity`, "request_malformed", identity);
  }
  const demands = context.demandsOf(limits, identity.principal, context.address, route.mode);
  const charges = demands.chargesOf?.(route);
  if (charges !== undefined)
    return chain(takeCharged(ports, route, demands, charges, nowMs), (taken) => {
      const decision = decideByTokens(taken, permitted);
      return decision.verdict === "allow" ? { ...decision, charge: charges.grant } : decision;
    });
  const { buckets, quotas } = demands;
  return chainWith(ports.buckets.take(buckets, route.cost, nowMs, quotas), permitted, decideByTokens);
}

/** The audit log shows the plan of an override, so that a replay knows it. */
function withOverride(permitted: PermittedRequest, { plan, planSource }: AppliedLimits): PermittedRequest {
  if (plan === undefined || planSource === "key" || planSource === "role") return permitted;
  return { ...permitted, identity: { ...permitted.identity, overridePlan: plan.name } };
}

/** The limits of the key. Reports plans that the policy does not have. */
function limitsOf(context: RequestContext, principal: Principal, role: Role): AppliedLimits {
  const { ports, policy, nowMs, trace } = context;
  const applied = context.findLimits(policy, role, principal, nowMs);
  for (const plan of applied.unknownPlans) ports.onUnknownPlan?.(plan);
  const { unknownPlans, unknownQuotas, quotaSource } = applied;
  const hasMissing = unknownPlans.length + unknownQuotas.length > 0;
  if (trace !== undefined && (policy.plans.size > 0 || hasMissing || quotaSource !== undefined))
    trace("plan", describePlan(applied, role, principal), describeLimitList(applied.limits));
  return applied;
}

function exceedsCapacity(cost: number, { rateLimits }: LimitList): boolean {
  for (const { capacity } of rateLimits) if (capacity < cost) return true;
  return false;
}

function decideByTokens(
  taken: TakeOutcome,
  { context, route, identity, scopes }: PermittedRequest,
): Decision {
  const { rates } = taken;
  if (!taken.ok) {
    const { retryAfterSeconds, quota } = taken;
    const details = { ...identity, retryAfterSeconds, rates, ...(quota && { quota }) };
    return denyAt(context, "limits", describeLimits(rates), taken.reason, details);
  }
  context.trace?.("limits", describeLimits(rates), describeCost(route));
  const refreshDue = context.nowMs >= identity.principal.refreshAfter * 1000;
  return { verdict: "allow", reason: "allowed", route, ...identity, scopes, rates, refreshDue };
}
