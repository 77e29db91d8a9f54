import type { Presenter } from "../keys/key-binding.ts";
import type { LegacyNotice } from "../legacy/migration.ts";
import { legacyNotice } from "../legacy/migration.ts";
import type { AppliedLimits, FindLimits } from "../limits/applied-limits.ts";
import { createFindLimits, describePlan } from "../limits/applied-limits.ts";
import { takeCharged } from "../limits/charged-take.ts";
import type { DemandsOf } from "../limits/limit-demands.ts";
import { createLimitDemands } from "../limits/limit-demands.ts";
import type { BucketStore, ChargedQuotas, LimitStore, TakeOutcome } from "../limits/ports.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import { chain, chainWith } from "../maybe-promise.ts";
import type { OverrideFinder } from "../overrides/override-view.ts";
import type { LimitList, Mode, Policy, RateLimit, Role } from "../policy/policy.ts";
import { createRouteNarrowing } from "../policy/route-narrowing.ts";
import type { Route } from "../policy/route-table.ts";
import { grantedScopes, scopesSuffice, scopesToAskFor } from "../policy/scopes.ts";
import { addressGroup } from "./client-address.ts";
import { presentedCredential } from "./credential.ts";
import type { Allow, Decision, Deny } from "./decision.ts";
import { deny } from "./decision.ts";
import type { JudgementContext, JudgementPorts } from "./judge-credential.ts";
import { judgeCredential } from "./judge-credential.ts";
import type { KeyVerifier, Verification } from "./ports.ts";
import type { Principal } from "./principal.ts";
import type { AuthRequest } from "./request.ts";
import { isPreflight } from "./request.ts";
import type { Trace } from "./trace.ts";
import {
  describeCost,
  describeLimitList,
  describeLimits,
  describeRejection,
  describeRequest,
  describeRoute,
  describeScopes,
} from "./trace.ts";

export interface AuthorizePorts extends JudgementPorts {
  readonly policy: () => Policy;
  readonly verifier: KeyVerifier;
  readonly overrides: OverrideFinder;
  /** Buckets and counters of quotas. */
  readonly buckets: LimitStore;
  /** Absent: a route that charges units is denied to keys with quotas of them. */
  readonly charged?: ChargedQuotas;
  /** Counts invalid credentials per client address, in this instance's memory. */
  readonly failures: BucketStore;
  /** The client's address, for everything that is counted per address. */
  readonly clientAddress: (request: Pick<AuthRequest, "headers" | "peerAddress">) => string;
  /** Called for each permitted request of a key with a plan that the policy does not have. */
  readonly onUnknownPlan?: (plan: string) => void;
}

/** The trace is called once for each step. It does not change the decision. */
export type Authorize = (request: AuthRequest, nowMs: number, trace?: Trace) => MaybePromise<Decision>;

/** A request and everything that its decision depends on. It presents the credential. */
interface RequestContext extends JudgementContext, Presenter {
  readonly ports: AuthorizePorts;
  readonly request: AuthRequest;
  readonly findLimits: FindLimits;
  readonly demandsOf: DemandsOf;
  /** Undefined if no route matches. The response does not reveal this to an unauthenticated caller. */
  readonly route: Route | undefined;
}

/**
 * Decides one request. The order of the steps is a guarantee. Authentication is complete before authorization starts, so an
 * unauthenticated caller does not learn which routes exist. Tokens are taken last, so a denial costs none.
 */
export function createAuthorize(ports: AuthorizePorts): Authorize {
  const narrowRoute = createRouteNarrowing();
  const findLimits = createFindLimits(ports.overrides);
  const demandsOf = createLimitDemands();
  return (request, nowMs, trace) => {
    const policy = ports.policy();
    trace?.("request", describeRequest(request), "unambiguous");
    if (policy.preflightRoute !== undefined && isPreflight(request)) {
      trace?.("route", "a CORS preflight", "no key is needed, by requests.preflights");
      return allowWithoutKey(policy.preflightRoute);
    }
    const found = policy.routes.find(request);
    const route = found && narrowRoute(found, request.extensions);
    if (found !== undefined && route === undefined) {
      trace?.("route", "invalid context_extensions", "request_malformed");
      return deny("request_malformed", { route: found });
    }
    trace?.("route", describeRoute(route), route?.public ? "public: no key is needed" : "a key is needed");
    if (route?.public) return allowWithoutKey(route);
    return authenticate({
      ports,
      findLimits,
      demandsOf,
      policy,
      request,
      nowMs,
      trace,
      route,
      address: () => ports.clientAddress(request),
      certificate: request.certificate,
    });
  };
}

function allowWithoutKey(route: Route): Allow {
  return { verdict: "allow", reason: "allowed", route, scopes: [], rates: [], refreshDue: false };
}

/** Finds the one credential of the request, checks that the policy accepts its transport, and verifies it. */
function authenticate(context: RequestContext): MaybePromise<Decision> {
  const { ports, policy, request, nowMs, trace, address } = context;
  const presented = presentedCredential(request, policy.credentialSources);
  if (presented.kind === "none") return denyAt(context, "credential", "no key", "credential_missing");
  if (presented.kind === "ambiguous") {
    return denyAt(context, "credential", "several keys, or a malformed one", "credential_ambiguous");
  }
  trace?.("credential", `one key, in ${presented.source}`, "to be verified");
  if (policy.requireHttps && request.scheme !== "https") {
    return denyAt(context, "transport", `a key over ${request.scheme}`, "https_required");
  }
  return chainWith(ports.verifier.verify(presented.token, nowMs, address), context, judge);
}

function judge(verified: Verification, context: RequestContext): MaybePromise<Decision> {
  const judged = judgeCredential(verified, context, context);
  if (!verified.ok) return denyInvalidCredential(context, verified);
  const { principal } = verified;
  if (typeof judged !== "string") return checkPermissions(context, principal, judged);
  // Only the role of this key is missing, so its holder still gets the notice about V1 keys.
  const details = judged === "credential_invalid" ? identityOf(context, principal) : { principal };
  return deny(judged, withRoute(context, details));
}

interface Identity {
  readonly principal: Principal;
  readonly notice?: LegacyNotice;
  readonly overridePlan?: string;
}

function identityOf({ ports, policy }: RequestContext, principal: Principal): Identity {
  const notice = legacyNotice(principal, ports.migration.state(), policy.migration);
  return notice === undefined ? { principal } : { principal, notice };
}

/** A request that lacks nothing but the tokens. */
interface PermittedRequest {
  readonly context: RequestContext;
  readonly route: Route;
  readonly identity: Identity;
  readonly scopes: readonly string[];
}

/** Checks the role's present scopes against the route, then takes the tokens. */
function checkPermissions(context: RequestContext, principal: Principal, role: Role): MaybePromise<Decision> {
  const { trace, route } = context;
  const identity = identityOf(context, principal);
  if (route === undefined) return denyAt(context, "route", "no route", "route_unknown", identity);
  const scopes = grantedScopes(principal.scopes, role.scopes);
  if (!scopesSuffice(scopes, route)) {
    const requiredScopes = scopesToAskFor(route);
    return denyAt(context, "scopes", describeScopes(scopes), "scope_missing", {
      ...identity,
      requiredScopes,
    });
  }
  trace?.("scopes", describeScopes(scopes), "sufficient");
  return takeTokens({ context, route, identity, scopes }, role);
}

function takeTokens(scoped: PermittedRequest, role: Role): MaybePromise<Decision> {
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

type DenyDetails = Omit<Deny, "verdict" | "reason" | "route">;

function denyAt(
  context: RequestContext,
  step: Parameters<Trace>[0],
  observed: string,
  reason: Deny["reason"],
  details: DenyDetails = {},
): Deny {
  context.trace?.(step, observed, reason);
  return deny(reason, withRoute(context, details));
}

function withRoute({ route }: RequestContext, details: DenyDetails): Omit<Deny, "verdict" | "reason"> {
  return route === undefined ? details : { ...details, route };
}

/**
 * Denies an invalid credential. Failures are counted per client address. Above the limit the reason is
 * `too_many_failures`, so an attacker learns nothing more. Valid keys from the same address are not affected. Only
 * credentials that we did not issue are counted.
 */
function denyInvalidCredential(
  context: RequestContext,
  verified: Extract<Verification, { ok: false }>,
): MaybePromise<Deny> {
  const { ports, policy, nowMs, route } = context;
  const { reason } = verified;
  const rejection = "rejection" in verified ? verified.rejection : undefined;
  const observed = describeRejection(rejection);
  const details = rejection === undefined ? {} : { rejection };
  if (reason !== "credential_invalid") return denyAt(context, "key", observed, reason, details);
  const mode: Mode = route?.mode ?? policy.mode;
  const limit: RateLimit = { name: "failures", per: "address", leased: false, ...policy.guards.failures };
  const demand = { bucketId: `${mode}:${addressGroup(context.address())}`, limit };
  return chain(ports.failures.take([demand], 1, nowMs), (taken) => {
    if (taken.ok) return denyAt(context, "key", observed, reason, details);
    const { retryAfterSeconds } = taken;
    return denyAt(context, "key", `${observed}; too many from this address`, "too_many_failures", {
      ...details,
      retryAfterSeconds,
    });
  });
}
