import { legacyNotice } from "../legacy/migration.ts";
import { createFindLimits } from "../limits/applied-limits.ts";
import { createLimitDemands } from "../limits/limit-demands.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import { chainWith } from "../maybe-promise.ts";
import type { Role } from "../policy/policy.ts";
import { createRouteNarrowing } from "../policy/route-narrowing.ts";
import type { Route } from "../policy/route-table.ts";
import { grantedScopes, scopesSuffice, scopesToAskFor } from "../policy/scopes.ts";
import { presentedCredential } from "./credential.ts";
import type { Allow, Decision } from "./decision.ts";
import { deny } from "./decision.ts";
import { denyInvalidCredential } from "./invalid-credential.ts";
import { judgeCredential } from "./judge-credential.ts";
import type { Verification } from "./ports.ts";
import type { Principal } from "./principal.ts";
import type { AuthRequest } from "./request.ts";
import { isPreflight } from "./request.ts";
import type { AuthorizePorts, RequestContext } from "./request-context.ts";
import { denyAt, withRoute } from "./request-context.ts";
import type { Identity } from "./take-limits.ts";
import { takeLimits } from "./take-limits.ts";
import type { Trace } from "./trace.ts";
import { describeRequest, describeRoute, describeScopes } from "./trace.ts";

/** The trace is called once for each step. It does not change the decision. */
export type Authorize = (request: AuthRequest, nowMs: number, trace?: Trace) => MaybePromise<Decision>;

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

function identityOf({ ports, policy }: RequestContext, principal: Principal): Identity {
  const notice = legacyNotice(principal, ports.migration.state(), policy.migration);
  return notice === undefined ? { principal } : { principal, notice };
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
  return takeLimits({ context, route, identity, scopes }, role);
}
