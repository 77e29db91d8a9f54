import { createHash, randomUUID } from "node:crypto";
import type { Closing } from "./closing.ts";
import { createAuthorize } from "./core/authorize.ts";
import { clientAddress } from "./core/client-address.ts";
import type { Policy } from "./core/policy.ts";
import type { BucketStore } from "./core/ports.ts";
import type { Registry } from "./core/registry.ts";
import { headerLines } from "./core/request.ts";
import { createRevocationView } from "./core/revocation-view.ts";
import type { RunningDoors } from "./doors.ts";
import { openDoors } from "./doors.ts";
import type { Check } from "./envoy/check.ts";
import { createCheck } from "./envoy/check.ts";
import { createKeyRing } from "./jwt/key-ring.ts";
import { createSigner } from "./jwt/signer.ts";
import type { CachingVerifier } from "./jwt/verifier.ts";
import { createVerifier } from "./jwt/verifier.ts";
import { randomText } from "./random.ts";
import { adminTokens, jwtSecret } from "./secrets.ts";
import type { Settings } from "./settings.ts";
import type { Stores } from "./stores.ts";
import { openStores } from "./stores.ts";
import type { Log } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";
import { createMetrics } from "./telemetry/metrics.ts";
import type { Upkeep } from "./upkeep.ts";
import { createUpkeep } from "./upkeep.ts";

/** Verified tokens kept: some 600 bytes each. */
const VERIFY_CACHE_SIZE = 100_000;

export interface AppOptions {
  readonly settings: Settings;
  readonly policy: Policy;
  readonly version: string;
  readonly log: Log;
  readonly closing: Closing;
}

/** The composition root: opens the rooms, joins them, and registers each close beside its open. Rejects when a door stays shut. */
export async function startApp(options: AppOptions): Promise<RunningDoors> {
  const { settings, log } = options;
  const metrics = createMetrics(options.version);
  metrics.policyInForce(options.policy);
  const stores = await openStores({ ...options, policy: () => options.policy, leases: metrics.leases });
  const { registry, verifier } = await openRegistry(options, stores, metrics);
  const upkeep = createUpkeep({
    ...registry,
    faulted: (error, work) => log.warn({ err: error }, `${work} failed; it is tried again`),
  });
  options.closing.later("the upkeep", upkeep.close);
  const admins = await adminTokens(settings, stores.secrets, log);
  const check = joinCheck(options, { registry, verifier, metrics, upkeep, buckets: stores.buckets });
  return openDoors({
    ...options,
    registry,
    verifier,
    check,
    metrics,
    adminTokens: admins,
    bucketAdmin: stores.bucketAdmin,
  });
}

async function openRegistry(
  { settings, policy, log }: AppOptions,
  { keys: store, secrets }: Stores,
  metrics: Metrics,
) {
  const view = createRevocationView();
  for await (const portion of store.revocations(Math.floor(Date.now() / 1000))) view.apply(portion);
  const ring = await createKeyRing([
    await jwtSecret(settings, secrets, log),
    ...(settings.JWT_SECRET_PREVIOUS ?? []),
  ]);
  const names = { issuer: settings.JWT_ISSUER, audience: settings.JWT_AUDIENCE };
  const verifier = createVerifier({
    ...names,
    ring: () => ring,
    cacheSize: VERIFY_CACHE_SIZE,
    observe: metrics.verifyCache,
  });
  const registry: Registry = {
    store,
    view,
    signer: createSigner(() => ring, names),
    policy: () => policy,
    nowMs: Date.now,
    newRandom: randomText,
    digest: (text) => createHash("sha256").update(text).digest("base64url"),
  };
  return { registry, verifier };
}

interface CheckParts {
  readonly registry: Registry;
  readonly verifier: CachingVerifier;
  readonly metrics: Metrics;
  readonly upkeep: Upkeep;
  readonly buckets: BucketStore;
}

function joinCheck(
  { settings, policy, log }: AppOptions,
  { registry, verifier, metrics, upkeep, buckets }: CheckParts,
): Check {
  const authorize = createAuthorize({
    policy: () => policy,
    verifier,
    view: registry.view,
    buckets,
    clientAddress: (request) =>
      clientAddress(request.peerAddress, headerLines(request, "x-forwarded-for"), settings.GRPC_TRUSTED_HOPS),
  });
  return createCheck({
    policy: () => policy,
    authorize,
    nowMs: Date.now,
    monotonicNs: process.hrtime.bigint,
    newDecisionId: randomUUID,
    decided(decision, elapsedNs) {
      metrics.decided(decision, elapsedNs);
      if (decision.verdict === "allow" && decision.principal) upkeep.used(decision.principal.keyId);
    },
    faulted: (error, decisionId) =>
      log.error({ err: error, decisionId }, "a Check met a fault and was refused"),
  });
}
