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
import { startHttpServer } from "./api/server.ts";
import { watchCertificate } from "./certificates.ts";
import type { Closing } from "./closing.ts";
import type { TlsDoor } from "./config.ts";
import { certificateFiles } from "./config.ts";
import { revocationsAreStale } from "./core/authorize.ts";
import type { Explain } from "./core/explain.ts";
import type { AuditStore, BucketAdmin, DoorTls, KeyVerifier } from "./core/ports.ts";
import type { Registry } from "./core/registry.ts";
import { createBucketStore } from "./embedded/bucket-store.ts";
import type { Check } from "./envoy/check.ts";
import type { EnvoyServer } from "./envoy/server.ts";
import { startEnvoyServer } from "./envoy/server.ts";
import { callFaulted, FAULTS } from "./fault-words.ts";
import type { OpsDoor } from "./ops-door.ts";
import type { PolicyInForce } from "./policy-in-force.ts";
import type { Listen } from "./setting-forms.ts";
import { formatListen } from "./setting-forms.ts";
import type { Settings } from "./settings.ts";
import type { SigningKeys } from "./signing-keys.ts";
import type { Fleet } from "./stores.ts";
import type { Log } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";
import type { Tracing } from "./telemetry/tracing.ts";

/** Addresses whose unauthenticated calls are counted; the one heard of longest ago is forgotten first. */
const MAX_GUARDED_ADDRESSES = 100_000;
/** Calls still open when everything else has ended are cut off after this. */
const CLOSE_GRACE_MS = 5000;

export interface RunningDoors {
  /** Where each door listens, once its port is known. */
  readonly addresses: Readonly<Record<"grpc" | "http" | "operator" | "ops", string>>;
  /** Says NOT_SERVING and not ready from now on, while it goes on serving. */
  drain(): void;
}

interface DoorOptions {
  readonly settings: Settings;
  readonly version: string;
  readonly policy: PolicyInForce;
  readonly log: Log;
  readonly closing: Closing;
  readonly registry: Registry;
  readonly verifier: KeyVerifier;
  readonly check: Check;
  readonly metrics: Metrics;
  readonly adminTokens: readonly string[];
  readonly bucketAdmin: BucketAdmin;
  readonly explain: Explain;
  readonly fleet: Fleet;
  readonly audit: AuditStore;
  /** Undefined where nobody wants traces. */
  readonly traces: Tracing | undefined;
  readonly signingKeys: SigningKeys;
  readonly ops: OpsDoor;
}

/** Opens every other door, the one for Envoy first; the ops door, which is open, tells of it. */
export async function openDoors(options: DoorOptions): Promise<RunningDoors> {
  const { settings, ops } = options;
  const grpc = await openGrpc(options);
  const openHttp = httpOpener(options);
  const { open, all } = endpointsOf(options);
  const http = await openHttp(
    "the HTTP door",
    settings.HTTP_LISTEN,
    settings.OPERATOR_LISTEN === undefined ? all : open,
  );
  const operator =
    settings.OPERATOR_LISTEN === undefined
      ? http
      : await openHttp("the operator door", settings.OPERATOR_LISTEN, all);
  let state: "ready" | "draining" = "ready";
  ops.tell(() => ({ instance: state, ...fleetReadiness(options) }));
  grpc.setServing(true);
  return {
    addresses: { grpc: grpc.address, http: http.address, operator: operator.address, ops: ops.address },
    drain() {
      state = "draining";
      grpc.setServing(false);
    },
  };
}

async function openGrpc(options: DoorOptions): Promise<EnvoyServer> {
  const { settings, check, closing } = options;
  const listen = formatListen(settings.GRPC_LISTEN);
  const transport = settings.GRPC_SERVER;
  const door = await startEnvoyServer({ listen, check, transport, ...openTls("GRPC", options) });
  closing.later("the gRPC door", () => door.close(CLOSE_GRACE_MS));
  return door;
}

function httpOpener(options: DoorOptions) {
  const { settings, closing, log } = options;
  const httpTls = openTls("HTTP", options);
  const common = { corsOrigins: settings.HTTP_CORS_ORIGINS ?? [], answered: options.traces?.call };
  return async (name: string, listen: Extract<Listen, { kind: "tcp" }>, endpoints: readonly Endpoint[]) => {
    const faulted = (error: unknown, requestId: string) =>
      log.error({ err: error, requestId }, callFaulted(name));
    const door = await startHttpServer({ ...common, listen, endpoints, faulted, ...httpTls });
    closing.later(name, () => door.close(CLOSE_GRACE_MS));
    return door;
  };
}

/** The certificate of a door that has one; a bad one that comes later is said, and the old one stays. */
function openTls(
  door: TlsDoor,
  { settings, log, closing, metrics }: DoorOptions,
): { readonly tls?: DoorTls } {
  const files = certificateFiles(door, settings);
  if (files === undefined) return {};
  const tls = watchCertificate(files, (problem) => {
    metrics.certificate(door, tls.endsAtMs());
    if (problem === undefined) log.info({ door, file: files.cert }, "a new certificate is shown from now on");
    else log.error({ door, problem }, FAULTS.certificateRefused);
  });
  metrics.certificate(door, tls.endsAtMs());
  closing.later(`the watch on the ${door} certificate`, tls.close);
  return { tls };
}

/** What each door serves: the operators' calls are not there at an HTTP door that has an operator door beside it. */
function endpointsOf(options: DoorOptions) {
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

/** What an instance can do of its work: a Redis that is gone takes it out of service only where the policy denies. */
function fleetReadiness({ fleet, policy }: DoorOptions) {
  const stale = revocationsAreStale(policy.current(), fleet.stalenessMs());
  return {
    revocations: stale ? "not_ready" : "ready",
    secrets: fleet.isStrange() ? "not_ready" : "ready",
  } as const;
}

function apiPorts({ settings, policy, registry, verifier, metrics, ...options }: DoorOptions): ApiPorts {
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
