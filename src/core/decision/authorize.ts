import { bindingViolation } from "../keys/key-binding.ts";
import type { Migration } from "../legacy/migration.ts";
import { endedByPhase, legacyNotice } from "../legacy/migration.ts";
import { bucketDemands } from "../limits/bucket-demands.ts";
import type { BucketStore } from "../limits/ports.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import { chain } from "../maybe-promise.ts";
import type { Mode, Policy, RateLimit } from "../policy/policy.ts";
import { narrowedRoute } from "../policy/route-narrowing.ts";
import type { Route } from "../policy/route-table.ts";
import { grantedScopes, scopesSuffice, scopesToAskFor } from "../policy/scopes.ts";
import type { RevocationView } from "../revocation/revocation-view.ts";
import { addressGroup } from "./client-address.ts";
import { presentedCredential } from "./credential.ts";
import type { Allow, Decision, Deny } from "./decision.ts";
import { deny } from "./decision.ts";
import type { KeyVerifier, Verification } from "./ports.ts";
import type { Principal } from "./principal.ts";
import type { AuthRequest } from "./request.ts";
import { headerLines } from "./request.ts";
import type { RejectedToken } from "./token-rejection.ts";
import type { Trace } from "./trace.ts";
import {
  describeBinding,
  describeDenial,
  describeKey,
  describeLimits,
  describeRequest,
  describeRoute,
  describeScopes,
} from "./trace.ts";

export interface AuthorizePorts {
  readonly policy: () => Policy;
  readonly verifier: KeyVerifier;
  readonly view: Pick<RevocationView, "endReason">;
  readonly migration: Migration;
  /** Milliseconds since revocations were last heard of; 0 where there is nobody to hear of. */
  readonly stalenessMs: () => number;
  readonly buckets: BucketStore;
  /** Counts keys that are none for each client address, in this instance's memory. */
  readonly failures: BucketStore;
  /** The client's address, for what is counted per address. */
  readonly clientAddress: (request: Pick<AuthRequest, "headers" | "peerAddress">) => string;
}

/** Whoever wants to know why passes a trace, which hears of each step; it changes none. */
export type Authorize = (request: AuthRequest, nowMs: number, trace?: Trace) => MaybePromise<Decision>;

/** One request on its way through the steps. */
interface RequestContext {
  readonly ports: AuthorizePorts;
  readonly policy: Policy;
  readonly request: AuthRequest;
  readonly nowMs: number;
  readonly trace: Trace | undefined;
  /** Undefined: no route is for it, which a stranger is not told. */
  readonly route: Route | undefined;
}

/**
 * Decides one request. The order is the promise: who it is comes whole before what it may, so that a stranger
 * does not learn which routes exist, and tokens come last, so that a refusal costs none.
 */
export function createAuthorize(ports: AuthorizePorts): Authorize {
  return (request, nowMs, trace) => {
    const policy = ports.policy();
    trace?.("request", describeRequest(request), "has one reading");
    if (policy.preflightRoute !== undefined && isPreflight(request)) {
      trace?.("route", "a CORS preflight", "passes without a key, as requests.preflights says");
      return allowWithoutKey(policy.preflightRoute);
    }
    const found = policy.routes.find(request);
    const route = found && narrowedRoute(found, request.extensions);
    if (found !== undefined && route === undefined) {
      trace?.("route", "context_extensions of a wrong form", "request_malformed");
      return deny("request_malformed", { route: found });
    }
    trace?.("route", describeRoute(route), route?.public ? "public: no key is needed" : "a key is needed");
    if (route?.public) return allowWithoutKey(route);
    return authenticate({ ports, policy, request, nowMs, trace, route });
  };
}

/** Whatever is sent to find out what a browser may send (Fetch, CORS-preflight request). */
export function isPreflight(request: AuthRequest): boolean {
  return (
    request.method === "OPTIONS" &&
    headerLines(request, "origin").length > 0 &&
    headerLines(request, "access-control-request-method").length > 0
  );
}

function allowWithoutKey(route: Route): Allow {
  return { verdict: "allow", reason: "allowed", route, scopes: [], rates: [], refreshDue: false };
}

/** Who it is: one key, over a channel that the policy takes it from, verified, and still standing. */
function authenticate(asked: RequestContext): MaybePromise<Decision> {
  const { ports, policy, request, nowMs, trace } = asked;
  const presented = presentedCredential(request, policy.credentialSources);
  if (presented.kind === "none") return denyAt(asked, "credential", "no key", "credential_missing");
  if (presented.kind === "ambiguous") {
    return denyAt(asked, "credential", "more than one key, or one in a wrong form", "credential_ambiguous");
  }
  trace?.("credential", `one key, in ${presented.source}`, "goes on");
  if (policy.requireHttps && request.scheme !== "https") {
    return denyAt(asked, "transport", `a key over ${request.scheme}`, "https_required");
  }
  const client = () => ports.clientAddress(request);
  const verifying = ports.verifier.verify(presented.token, nowMs, client);
  return chain(verifying, (verified) => checkRevocation(asked, verified));
}

/** Whether it is a key, and one that still stands. */
function checkRevocation(asked: RequestContext, verified: Verification): MaybePromise<Decision> {
  if (!verified.ok)
    return denyInvalidCredential(
      asked,
      verified.reason,
      "rejection" in verified ? verified.rejection : undefined,
    );
  const { ports, policy, nowMs, trace } = asked;
  const { principal } = verified;
  trace?.("key", describeKey(principal), "its signature, issuer, audience and times are good");
  if (revocationsAreStale(policy, ports.stalenessMs())) {
    return denyAt(asked, "revocation", "nothing heard for too long", "revocations_stale", { principal });
  }
  const ended =
    ports.view.endReason(principal, nowMs) ??
    endedByPhase(principal, ports.migration.state(), policy.migration, nowMs);
  if (ended !== undefined) return denyAt(asked, "revocation", principal.keyId, ended, { principal });
  trace?.("revocation", principal.keyId, "neither revoked, disabled nor superseded");
  return checkBinding(asked, principal);
}

/** Whether it is taken from here, with this certificate: a key that is bound is good nowhere else. */
function checkBinding(asked: RequestContext, principal: Principal): MaybePromise<Decision> {
  if (principal.nets === undefined && principal.certificate === undefined)
    return checkPermissions(asked, principal);
  const { ports, request, trace } = asked;
  const address = () => ports.clientAddress(request);
  const wrong = bindingViolation(principal, { address, certificate: request.certificate });
  if (wrong !== undefined) {
    const saw = wrong === "address_not_allowed" ? address() : (request.certificate() ?? "no certificate");
    return denyAt(asked, "binding", saw, wrong, { principal });
  }
  trace?.("binding", describeBinding(principal), "comes from there");
  return checkPermissions(asked, principal);
}

/** Whether so little is known of revocations that the policy lets no key through. */
export function revocationsAreStale({ faults }: Policy, stalenessMs: number): boolean {
  return stalenessMs > faults.revocations.maxStalenessMs && faults.revocations.stale === "deny";
}

/** What it may: its role's scopes of today, the route, and tokens last. */
function checkPermissions(asked: RequestContext, principal: Principal): MaybePromise<Decision> {
  const { ports, policy, request, nowMs, trace, route } = asked;
  const notice = legacyNotice(principal, ports.migration.state(), policy.migration);
  const whose = { principal, ...(notice && { notice }) };
  const role = policy.roles.get(principal.role);
  if (role === undefined) {
    return denyAt(asked, "role", `${principal.role}, which the policy has not`, "credential_invalid", whose);
  }
  if (route === undefined) return denyAt(asked, "route", "no route", "route_unknown", whose);
  const scopes = grantedScopes(principal.scopes, role.scopes);
  if (!scopesSuffice(scopes, route)) {
    const requiredScopes = scopesToAskFor(route);
    return denyAt(asked, "scopes", describeScopes(scopes), "scope_missing", { ...whose, requiredScopes });
  }
  trace?.("scopes", describeScopes(scopes), "enough");
  if (role.rateLimits.some(({ capacity }) => capacity < route.cost)) {
    // Only context_extensions can bring such a cost: the policy file is checked.
    return denyAt(asked, "limits", `cost ${route.cost}, above a capacity`, "request_malformed", whose);
  }
  const demands = bucketDemands(role, principal, () => ports.clientAddress(request), route.mode);
  return chain(ports.buckets.take(demands, route.cost, nowMs), (taken) => {
    if (!taken.ok) {
      const { reason, retryAfterSeconds, rates } = taken;
      return denyAt(asked, "limits", describeLimits(rates), reason, { ...whose, retryAfterSeconds, rates });
    }
    trace?.("limits", describeLimits(taken.rates), `cost ${route.cost}`);
    const refreshDue = nowMs >= principal.refreshAfter * 1000;
    const { rates } = taken;
    const allow: Allow = { verdict: "allow", reason: "allowed", route, ...whose, scopes, rates, refreshDue };
    return allow;
  });
}

function denyAt(
  { route, trace }: RequestContext,
  step: Parameters<Trace>[0],
  saw: string,
  reason: Deny["reason"],
  details: Omit<Deny, "verdict" | "reason" | "route"> = {},
): Deny {
  trace?.(step, saw, reason);
  return deny(reason, route === undefined ? details : { ...details, route });
}

/**
 * A key that is none. Too many of those from one address are turned away as such: whoever guesses learns nothing
 * more, while good keys from there are served, for they never come here. Only what was not signed by us is counted.
 */
function denyInvalidCredential(
  asked: RequestContext,
  reason: Deny["reason"],
  refused: RejectedToken | undefined,
): MaybePromise<Deny> {
  const { ports, policy, request, nowMs, route } = asked;
  const saw = describeDenial(refused);
  const details = refused === undefined ? {} : { refused };
  if (reason !== "credential_invalid") return denyAt(asked, "key", saw, reason, details);
  const mode: Mode = route?.mode ?? policy.mode;
  const limit: RateLimit = { name: "failures", per: "address", leased: false, ...policy.guards.failures };
  const demand = { bucketId: `${mode}:${addressGroup(ports.clientAddress(request))}`, limit };
  return chain(ports.failures.take([demand], 1, nowMs), (taken) => {
    if (taken.ok) return denyAt(asked, "key", saw, reason, details);
    const { retryAfterSeconds } = taken;
    return denyAt(asked, "key", `${saw}; one of many`, "too_many_failures", {
      ...details,
      retryAfterSeconds,
    });
  });
}
