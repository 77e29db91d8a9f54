import { auditRoute } from "../api/admin/audit-route.ts";
import { explainRoute } from "../api/admin/explain-route.ts";
import { limitRoutes } from "../api/admin/limit-routes.ts";
import { operatorRoutes } from "../api/admin/operator-routes.ts";
import { policyRoutes } from "../api/admin/policy-routes.ts";
import { browserRoutes } from "../api/docs/browser-routes.ts";
import { pageRoutes } from "../api/docs/page-routes.ts";
import type { ApiPorts } from "../api/http/calls.ts";
import type { Endpoint } from "../api/http/endpoint.ts";
import { introspectRoute } from "../api/keys/introspect-route.ts";
import { jwksRoute } from "../api/keys/jwks-route.ts";
import { keyRoutes } from "../api/keys/key-routes.ts";
import { legacyRoutes } from "../api/legacy/legacy-routes.ts";
import { migrationRoutes } from "../api/legacy/migration-routes.ts";
import type { Settings } from "../config/settings.ts";
import type { AuditStore } from "../core/audit/ports.ts";
import type { Explain } from "../core/decision/explain.ts";
import type { KeyVerifier } from "../core/decision/ports.ts";
import type { Registry } from "../core/keys/registry.ts";
import type { BucketAdmin } from "../core/limits/ports.ts";
import type { SigningKeys } from "../jwt/signing-keys.ts";
import { createBucketStore } from "../memory/bucket-store.ts";
import type { ActivePolicy } from "../policy/active-policy.ts";
import type { Metrics } from "../telemetry/metrics/metrics.ts";
import type { Fleet } from "./stores.ts";

/** Addresses whose unauthenticated calls are counted; the one heard of longest ago is forgotten first. */
const MAX_GUARDED_ADDRESSES = 100_000;
/** What the calls of the API work with. */
export interface ApiDeps {
  readonly settings: Settings;
  readonly version: string;
  readonly policy: ActivePolicy;
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
export function apiEndpoints(options: ApiDeps): Readonly<Record<"open" | "all", readonly Endpoint[]>> {
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

function apiPorts({ settings, policy, registry, verifier, metrics, ...options }: ApiDeps): ApiPorts {
  return {
    stalenessMs: options.fleet.stalenessMs,
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
