import { auditRoute } from "./api/audit-route.ts";
import { browserRoutes } from "./api/browser-routes.ts";
import type { ApiPorts } from "./api/calls.ts";
import type { Endpoint } from "./api/endpoint.ts";
import { explainRoute } from "./api/explain-route.ts";
import { introspectRoute } from "./api/introspect-route.ts";
import { jwksRoute } from "./api/jwks-route.ts";
import { keyRoutes } from "./api/key-routes.ts";
import { legacyRoutes } from "./api/legacy-routes.ts";
import { limitRoutes } from "./api/limit-routes.ts";
import { migrationRoutes } from "./api/migration-routes.ts";
import { operatorRoutes } from "./api/operator-routes.ts";
import { pageRoutes } from "./api/page-routes.ts";
import { policyRoutes } from "./api/policy-routes.ts";
import { revocationsAreStale } from "./core/authorize.ts";
import type { Explain } from "./core/explain.ts";
import type { AuditStore, BucketAdmin, KeyVerifier } from "./core/ports.ts";
import type { Registry } from "./core/registry.ts";
import { createBucketStore } from "./embedded/bucket-store.ts";
import type { PolicyInForce } from "./policy-in-force.ts";
import type { Settings } from "./settings.ts";
import type { SigningKeys } from "./signing-keys.ts";
import type { Fleet } from "./stores.ts";
import type { Metrics } from "./telemetry/metrics.ts";

/** Addresses whose unauthenticated calls are counted; the one heard of longest ago is forgotten first. */
const MAX_GUARDED_ADDRESSES = 100_000;
/** What the calls of the API work with. */
export interface ApiParts {
  readonly settings: Settings;
  readonly version: string;
  readonly policy: PolicyInForce;
  readonly registry: Registry;
  readonly verifier: KeyVerifier;
  readonly metrics: Metrics;
  readonly adminTokens: readonly string[];
  readonly bucketAdmin: BucketAdmin;
  readonly explain: Explain;
  readonly fleet: Fleet;
  readonly audit: AuditStore;
  readonly signingKeys: SigningKeys;
}

/** What each door serves: the operators' calls are not there at an HTTP door that has an operator door beside it. */
export function apiEndpoints(options: ApiParts): Readonly<Record<"open" | "all", readonly Endpoint[]>> {
  const ports = apiPorts(options);
  const names = { issuer: options.settings.JWT_ISSUER, audience: options.settings.JWT_AUDIENCE };
  const publicJwks = () => options.signingKeys.ring().publicJwks;
  const open = [
    ...keyRoutes(ports),
    ...legacyRoutes(ports),
    introspectRoute(ports, names),
    jwksRoute(publicJwks),
  ];
  const all = [
    ...open,
    ...operatorRoutes(ports),
    ...limitRoutes(ports, options.bucketAdmin),
    ...policyRoutes(ports, options.policy),
    ...migrationRoutes(ports),
    auditRoute(ports, options.audit),
    explainRoute(ports, options.explain),
  ];
  return {
    open: [...open, ...browserRoutes(), ...pageRoutes(open, options.version)],
    all: [...all, ...browserRoutes(), ...pageRoutes(all, options.version)],
  };
}

function apiPorts({ settings, policy, registry, verifier, metrics, ...options }: ApiParts): ApiPorts {
  return {
    stale: () => revocationsAreStale(policy.current(), options.fleet.stalenessMs()),
    policy: policy.current,
    verifier,
    view: registry.view,
    migration: registry.migration,
    nowMs: registry.nowMs,
    adminTokens: options.adminTokens,
    trustedHops: settings.HTTP_TRUSTED_HOPS,
    registry,
    guard: createBucketStore({ maxBuckets: MAX_GUARDED_ADDRESSES }),
    counters: metrics.keys,
  };
}
