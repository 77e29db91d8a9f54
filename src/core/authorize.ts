import { addressGroup } from "./client-address.ts";
import { presentedCredential } from "./credential.ts";
import type { Allow, Decision } from "./decision.ts";
import { deny } from "./decision.ts";
import type { Eventual } from "./eventual.ts";
import { chain } from "./eventual.ts";
import type { LimitSubject, Policy, Role } from "./policy.ts";
import type { BucketDemand, BucketStore, KeyVerifier } from "./ports.ts";
import type { Principal } from "./principal.ts";
import { ownerOf } from "./principal.ts";
import type { AuthRequest } from "./request.ts";
import type { RevocationView } from "./revocation-view.ts";
import type { Route } from "./route-table.ts";
import { grantedScopes, scopesSuffice, scopesToAskFor } from "./scopes.ts";

export interface AuthorizePorts {
  readonly policy: () => Policy;
  readonly verifier: KeyVerifier;
  readonly view: Pick<RevocationView, "ended">;
  readonly buckets: BucketStore;
  /** The client's address, for limits per address. */
  readonly clientAddress: (request: AuthRequest) => string;
}

export type Authorize = (request: AuthRequest, nowMs: number) => Eventual<Decision>;

/**
 * Decides one request. The order is the promise: who it is comes whole before what it may, so that a stranger
 * does not learn which routes exist, and tokens come last, so that a refusal costs none.
 */
export function createAuthorize(ports: AuthorizePorts): Authorize {
  return (request, nowMs) => {
    const policy = ports.policy();
    const route = policy.routes.find(request);
    if (route?.public) return allowPublic(route);
    const presented = presentedCredential(request, policy.credentialSources);
    if (presented.kind === "none") return deny("credential_missing");
    if (presented.kind === "ambiguous") return deny("credential_ambiguous");
    return chain(ports.verifier.verify(presented.token, nowMs), (verified) => {
      if (!verified.ok) return deny(verified.reason);
      const ended = ports.view.ended(verified.principal, nowMs);
      if (ended !== undefined) return deny(ended, { principal: verified.principal });
      const role = policy.roles.get(verified.principal.role);
      if (role === undefined) return deny("credential_invalid");
      return decideFor(ports, request, verified.principal, role, route, nowMs);
    });
  };
}

function allowPublic(route: Route): Allow {
  return { verdict: "allow", reason: "allowed", route, scopes: [], rates: [], refreshDue: false };
}

function decideFor(
  ports: AuthorizePorts,
  request: AuthRequest,
  principal: Principal,
  role: Role,
  route: Route | undefined,
  nowMs: number,
): Eventual<Decision> {
  if (route === undefined) return deny("route_unknown", { principal });
  const scopes = grantedScopes(principal.scopes, role.scopes);
  if (!scopesSuffice(scopes, route)) {
    return deny("scope_missing", { principal, route, requiredScopes: scopesToAskFor(route) });
  }
  const demands = bucketDemands(role, principal, () => ports.clientAddress(request));
  return chain(ports.buckets.take(demands, route.cost, nowMs), (taken) => {
    if (!taken.ok) {
      const { reason, retryAfterSeconds, rates } = taken;
      return deny(reason, { principal, route, retryAfterSeconds, rates });
    }
    const refreshDue = nowMs >= principal.refreshAfter * 1000;
    return { verdict: "allow", reason: "allowed", route, principal, scopes, rates: taken.rates, refreshDue };
  });
}

/** The buckets that a request of this key takes from, `per: address` by the address that is given. */
export function bucketDemands(role: Role, principal: Principal, address: () => string): BucketDemand[] {
  return role.rateLimits.map((limit) => {
    const subject = subjectOf(limit.per, role, principal, address);
    return { limit, bucketId: `${role.name}:${limit.name}:${subject}` };
  });
}

function subjectOf(per: LimitSubject, role: Role, principal: Principal, address: () => string): string {
  switch (per) {
    case "key":
      return principal.family;
    case "owner":
      return ownerOf(principal);
    case "role":
      return role.name;
    case "address":
      return addressGroup(address());
  }
}
