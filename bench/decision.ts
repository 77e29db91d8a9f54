import { createAuthorize } from "../src/core/decision/authorize.ts";
import type { KeyRecord } from "../src/core/keys/key-record.ts";
import { createMigration } from "../src/core/legacy/migration.ts";
import type { LeasePoolPorts } from "../src/core/limits/lease-pool.ts";
import { createLeasePool } from "../src/core/limits/lease-pool.ts";
import type { LimitStore } from "../src/core/limits/ports.ts";
import type { OverrideFinder } from "../src/core/overrides/override-view.ts";
import { NO_OVERRIDES } from "../src/core/overrides/override-view.ts";
import { createInstanceView } from "../src/core/revocation/instance-view.ts";
import type { Check } from "../src/ext-authz/check.ts";
import { createCheck } from "../src/ext-authz/check.ts";
import type { CheckPorts } from "../src/ext-authz/decide.ts";
import { createKeyRing } from "../src/jwt/key-ring.ts";
import { createSigner } from "../src/jwt/signer.ts";
import { createVerifier } from "../src/jwt/verifier.ts";
import { createBucketStore } from "../src/memory/bucket-store.ts";
import { parsedPolicy } from "../test/support/parsed-policy.ts";

export const NAMES = { issuer: "blyan-api", audience: "latchkey" };
const SECRET = "a secret for measuring, and for nothing else";

/** Limits of a role in the policy file. None is ever reached. */
export const ONE_LIMIT = "rate_limits: [{ name: per-key, per: key, capacity: 100000000, refill: 1000000/s }]";
export const TWO_LIMITS = `rate_limits:
      - { name: per-key, per: key, capacity: 100000000, refill: 1000000/s }
      - { name: per-owner, per: owner, capacity: 100000000, refill: 1000000/s }`;
export const TWO_LIMITS_AND_QUOTA = `${TWO_LIMITS}
    quotas: [{ name: monthly, per: key, limit: 1000000000, every: month }]`;

/** A policy with this number of routes and, unless others are given, one limit that is never reached. */
export function benchPolicy(routes = 10, limits = ONE_LIMIT): string {
  const others = Array.from(
    { length: routes - 1 },
    (_, i) => `  - { path: /v${i % 7}/service-${i}/**, methods: [GET], scopes: [chat:read] }`,
  );
  return `roles:
  bench:
    scopes: [chat:read, chat:write]
    ttl: 7d
    refresh_window: 1d
    self_service: true
    ${limits}
  admin: { scopes: [keys:read, keys:write, audit:read, system:write], may_grant: [bench], ttl: 1d, refresh_window: 6h }
routes:
  - { path: /v1/chat/**, methods: [GET], scopes: [chat:read] }
${others.join("\n")}
guards: { failures: 100000000/s, open_calls: 100000000/s, self_service_keys: 100000000 }
`;
}

/** The policy, with an audit line for every request. */
export function auditOfEveryRequest(): string {
  return `${benchPolicy()}audit: { requests: all }\n`;
}

/** Creates the services of a decision as `serve` does, in this process. Limits are in memory, unless a store is given. */
export async function createDecisionServices(
  policyText = benchPolicy(),
  cacheSize = 100_000,
  overrides: OverrideFinder = NO_OVERRIDES,
  limits?: LimitStore,
) {
  const policy = parsedPolicy(policyText);
  const ring = await createKeyRing([SECRET]);
  const signer = createSigner(() => ring, NAMES);
  const verifier = createVerifier({ ...NAMES, ring: () => ring, cacheSize });
  const buckets = createBucketStore({ maxBuckets: 1_000_000 });
  const authorize = createAuthorize({
    policy: () => policy,
    verifier,
    view: createInstanceView(),
    migration: createMigration({ phase: "silent", chosen: false, version: 0 }),
    stalenessMs: () => 0,
    overrides,
    buckets: limits ?? buckets,
    failures: createBucketStore({ maxBuckets: 1000 }),
    clientAddress: ({ peerAddress }) => peerAddress,
  });
  return { policy, signer, verifier, buckets, authorize };
}

/** The Check of these services. A fault ends the measurement. */
export function benchCheck(
  { policy, authorize }: Pick<Awaited<ReturnType<typeof createDecisionServices>>, "policy" | "authorize">,
  ports: Partial<CheckPorts>,
): Check {
  const fail = (error: unknown): never => {
    throw error;
  };
  return createCheck({
    policy: () => policy,
    authorize,
    nowMs: Date.now,
    monotonicNs: process.hrtime.bigint,
    newDecisionId: () => "3f1c9f4e-8b5b-4e5a-9d3c-0d8a2f6b7c11",
    onDecision: () => undefined,
    onUndecodable: fail,
    onFault: fail,
    ...ports,
  });
}

/** Limits by lease, on a store that grants everything at once. `onStep` is called for each request to it. */
export function grantedLimits(
  ports: Pick<LeasePoolPorts, "monotonicMs" | "fallback">,
  onStep: () => void = () => undefined,
) {
  return createLeasePool({
    ...ports,
    store: {
      step: async (_id, _limit, _settled, request) => {
        onStep();
        return { grantedTokens: granted(request), waitUs: 0, leasesOutstanding: false };
      },
    },
    quotas: {
      step: async (_demand, _settled, request) => {
        onStep();
        return {
          grantedTokens: granted(request),
          waitUs: 0,
          leasesOutstanding: false,
          counter: { lifeUs: 1e6, freeUnits: 1e9 },
        };
      },
      withoutStore: () => "deny",
      count: () => undefined,
      forget: () => undefined,
    },
    instanceId: "bench",
    maxBuckets: 1_000_000,
  });
}

function granted(request: { readonly cost: number; readonly ahead: number } | undefined): number {
  return request === undefined ? 0 : Math.max(request.cost, request.ahead);
}

/** A policy with the plan of {@link overriddenOwners}. */
export function benchPolicyWithPlan(): string {
  return `plans: { bench: { ${ONE_LIMIT} } }
${benchPolicy()}`;
}

/** 100,000 overrides of other owners, and one of the owner of the first record. */
export function overriddenOwners(nowMs: number) {
  const view = createInstanceView();
  const override = (subject: string) =>
    ({ kind: "override", scope: "owner", subject, version: 1, content: { plan: "bench" } }) as const;
  view.apply(Array.from({ length: 100_000 }, (_, at) => override(`owner-${at}`)));
  view.apply([override(benchRecord(1, nowMs).family)]);
  return view.overrides;
}

/** A record like those of a registration. */
export function benchRecord(number: number, nowMs = Date.now()): KeyRecord {
  const now = Math.floor(nowMs / 1000);
  const random = String(number).padStart(22, "K");
  return {
    keyId: `bench_${now}_${random}`,
    family: `bench_${now}_${random}`,
    familyStartedAt: now,
    role: "bench",
    scopes: ["chat:read", "chat:write"],
    name: "measured",
    issuedAt: now,
    expiresAt: now + 7 * 86_400,
    refreshAfter: now + 6 * 86_400,
    selfService: true,
    disabled: false,
    version: 1,
  };
}

/** The attributes that Envoy sends with envoy/sidecar.yaml. */
export function benchAttributes(token: string): object {
  const address = (port_value: number) => ({
    address: { socket_address: { address: "127.0.0.1", port_value } },
  });
  const headers = {
    authorization: `Bearer ${token}`,
    "x-request-id": "3f1c9f4e-8b5b-4e5a-9d3c-0d8a2f6b7c11",
    "x-forwarded-for": "127.0.0.1",
  };
  return {
    source: address(43_210),
    destination: address(10_000),
    request: {
      time: { seconds: "1780000000", nanos: 123_456_789 },
      http: {
        id: "7989526076807374258",
        method: "GET",
        path: "/v1/chat/completions?stream=true",
        host: "api.example.com",
        scheme: "http",
        protocol: "HTTP/1.1",
        header_map: {
          headers: Object.entries(headers).map(([key, value]) => ({ key, raw_value: Buffer.from(value) })),
        },
      },
    },
    metadata_context: {},
    route_metadata_context: {},
  };
}
