import { misplaced } from "../keys/key-binding.ts";
import type { Migration } from "../legacy/migration.ts";
import { endedByPhase, legacyNotice } from "../legacy/migration.ts";
import { bucketDemands } from "../limits/bucket-demands.ts";
import type { BucketStore } from "../limits/ports.ts";
import type { Eventual } from "../maybe-promise.ts";
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
import type { RefusedToken } from "./token-rejection.ts";
import type { Trace } from "./trace.ts";
import {
  seenBinding,
  seenKey,
  seenLimits,
  seenRefusal,
  seenRequest,
  seenRoute,
  seenScopes,
} from "./trace.ts";

export interface AuthorizePorts {
  readonly policy: () => Policy;
  readonly verifier: KeyVerifier;
  readonly view: Pick<RevocationView, "ended">;
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
export type Authorize = (request: AuthRequest, nowMs: number, trace?: Trace) => Eventual<Decision>;

/** One request on its way through the steps. */
interface Asked {
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
    trace?.("request", seenRequest(request), "has one reading");
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
    trace?.("route", seenRoute(route), route?.public ? "public: no key is needed" : "a key is needed");
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
function authenticate(asked: Asked): Eventual<Decision> {
  const { ports, policy, request, nowMs, trace } = asked;
  const presented = presentedCredential(request, policy.credentialSources);
  if (presented.kind === "none") return refuse(asked, "credential", "no key", "credential_missing");
  if (presented.kind === "ambiguous") {
    return refuse(asked, "credential", "more than one key, or one in a wrong form", "credential_ambiguous");
  }
  trace?.("credential", `one key, in ${presented.source}`, "goes on");
  if (policy.requireHttps && request.scheme !== "https") {
    return refuse(asked, "transport", `a key over ${request.scheme}`, "https_required");
  }
  const client = () => ports.clientAddress(request);
  const verifying = ports.verifier.verify(presented.token, nowMs, client);
  return chain(verifying, (verified) => admitStanding(asked, verified));
}

/** Whether it is a key, and one that still stands. */
function admitStanding(asked: Asked, verified: Verification): Eventual<Decision> {
  if (!verified.ok)
    return refuseKey(asked, verified.reason, "refused" in verified ? verified.refused : undefined);
  const { ports, policy, nowMs, trace } = asked;
  const { principal } = verified;
  trace?.("key", seenKey(principal), "its signature, issuer, audience and times are good");
  if (revocationsAreStale(policy, ports.stalenessMs())) {
    return refuse(asked, "revocation", "nothing heard for too long", "revocations_stale", { principal });
  }
  const ended =
    ports.view.ended(principal, nowMs) ??
    endedByPhase(principal, ports.migration.state(), policy.migration, nowMs);
  if (ended !== undefined) return refuse(asked, "revocation", principal.keyId, ended, { principal });
  trace?.("revocation", principal.keyId, "neither revoked, disabled nor superseded");
  return admitFromHere(asked, principal);
}

/** Whether it is taken from here, with this certificate: a key that is bound is good nowhere else. */
function admitFromHere(asked: Asked, principal: Principal): Eventual<Decision> {
  if (principal.nets === undefined && principal.certificate === undefined) return admit(asked, principal);
  const { ports, request, trace } = asked;
  const address = () => ports.clientAddress(request);
  const wrong = misplaced(principal, { address, certificate: request.certificate });
  if (wrong !== undefined) {
    const saw = wrong === "address_not_allowed" ? address() : (request.certificate() ?? "no certificate");
    return refuse(asked, "binding", saw, wrong, { principal });
  }
  trace?.("binding", seenBinding(principal), "comes from there");
  return admit(asked, principal);
}

/** Whether so little is known of revocations that the policy lets no key through. */
export function revocationsAreStale({ faults }: Policy, stalenessMs: number): boolean {
  return stalenessMs > faults.revocations.maxStalenessMs && faults.revocations.stale === "deny";
}

/** What it may: its role's scopes of today, the route, and tokens last. */
function admit(asked: Asked, principal: Principal): Eventual<Decision> {
  const { ports, policy, request, nowMs, trace, route } = asked;
  const notice = legacyNotice(principal, ports.migration.state(), policy.migration);
  const whose = { principal, ...(notice && { notice }) };
  const role = policy.roles.get(principal.role);
  if (role === undefined) {
    return refuse(asked, "role", `${principal.role}, which the policy has not`, "credential_invalid", whose);
  }
  if (route === undefined) return refuse(asked, "route", "no route", "route_unknown", whose);
  const scopes = grantedScopes(principal.scopes, role.scopes);
  if (!scopesSuffice(scopes, route)) {
    const requiredScopes = scopesToAskFor(route);
    return refuse(asked, "scopes", seenScopes(scopes), "scope_missing", { ...whose, requiredScopes });
  }
  trace?.("scopes", seenScopes(scopes), "enough");
  if (role.rateLimits.some(({ capacity }) => capacity < route.cost)) {
    // Only context_extensions can bring such a cost: the policy file is checked.
    return refuse(asked, "limits", `cost ${route.cost}, above a capacity`, "request_malformed", whose);
  }
  const demands = bucketDemands(role, principal, () => ports.clientAddress(request), route.mode);
  return chain(ports.buckets.take(demands, route.cost, nowMs), (taken) => {
    if (!taken.ok) {
      const { reason, retryAfterSeconds, rates } = taken;
      return refuse(asked, "limits", seenLimits(rates), reason, { ...whose, retryAfterSeconds, rates });
    }
    trace?.("limits", seenLimits(taken.rates), `cost ${route.cost}`);
    const refreshDue = nowMs >= principal.refreshAfter * 1000;
    const { rates } = taken;
    const allow: Allow = { verdict: "allow", reason: "allowed", route, ...whose, scopes, rates, refreshDue };
    return allow;
  });
}

function refuse(
  { route, trace }: Asked,
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
function refuseKey(asked: Asked, reason: Deny["reason"], refused: RefusedToken | undefined): Eventual<Deny> {
  const { ports, policy, request, nowMs, route } = asked;
  const saw = seenRefusal(refused);
  const details = refused === undefined ? {} : { refused };
  if (reason !== "credential_invalid") return refuse(asked, "key", saw, reason, details);
  const mode: Mode = route?.mode ?? policy.mode;
  const limit: RateLimit = { name: "failures", per: "address", leased: false, ...policy.guards.failures };
  const demand = { bucketId: `${mode}:${addressGroup(ports.clientAddress(request))}`, limit };
  return chain(ports.failures.take([demand], 1, nowMs), (taken) => {
    if (taken.ok) return refuse(asked, "key", saw, reason, details);
    const { retryAfterSeconds } = taken;
    return refuse(asked, "key", `${saw}; one of many`, "too_many_failures", {
      ...details,
      retryAfterSeconds,
    });
  });
}
