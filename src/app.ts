import { createHash, randomUUID } from "node:crypto";
import type { AnsweredCall } from "./api/answered-call.ts";
import type { Audit } from "./audit.ts";
import { openAudit } from "./audit.ts";
import type { Closing } from "./closing.ts";
import type { AuthorizePorts } from "./core/authorize.ts";
import { createAuthorize } from "./core/authorize.ts";
import { clientAddress } from "./core/client-address.ts";
import type { Clock } from "./core/clock.ts";
import { hasThreeParts } from "./core/credential.ts";
import { createExplain, lookingOnly, NOTHING_COUNTED } from "./core/explain.ts";
import { rememberReuse } from "./core/key-renewal.ts";
import type { KeyVerifier } from "./core/ports.ts";
import type { LegacyForm, Registry } from "./core/registry.ts";
import { headerLines } from "./core/request.ts";
import type { RevocationView } from "./core/revocation-view.ts";
import { createRevocationView } from "./core/revocation-view.ts";
import type { RunningDoors } from "./doors.ts";
import { openDoors } from "./doors.ts";
import { createBucketStore } from "./embedded/bucket-store.ts";
import type { Check } from "./envoy/check.ts";
import { createCheck } from "./envoy/check.ts";
import { sayingOnce } from "./every-turn.ts";
import { FAULTS, upkeepFails } from "./fault-words.ts";
import { createInstanceClock } from "./instance-clock.ts";
import { tellingRefusals, withIssuers } from "./issuer-parts.ts";
import { followKeyAges } from "./key-ages.ts";
import { createLegacyForm } from "./legacy/hasher.ts";
import type { LegacyParts } from "./legacy-parts.ts";
import { createLegacyParts } from "./legacy-parts.ts";
import type { OpsDoor } from "./ops-door.ts";
import { openOpsDoor } from "./ops-door.ts";
import type { PolicyInForce } from "./policy-in-force.ts";
import { followPhases, keepPolicyFresh } from "./policy-reload.ts";
import { randomText } from "./random.ts";
import { adminTokens, auditKey, keyHashSecrets } from "./secrets.ts";
import type { Settings } from "./settings.ts";
import type { SigningKeys } from "./signing-keys.ts";
import { openSigning } from "./signing-parts.ts";
import type { Fleet, Stores, StoresOptions } from "./stores.ts";
import { openStores } from "./stores.ts";
import type { Log } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";
import { createMetrics } from "./telemetry/metrics.ts";
import type { Output } from "./telemetry/output.ts";
import { createSampled } from "./telemetry/sampled.ts";
import type { Tracing } from "./telemetry/tracing.ts";
import { openTraces } from "./traces.ts";
import type { Upkeep } from "./upkeep.ts";
import { createUpkeep } from "./upkeep.ts";

/** Addresses whose bad keys are counted; the one heard of longest ago is forgotten first. */
const MAX_GUARDED_ADDRESSES = 100_000;

export interface AppOptions {
  readonly settings: Settings;
  readonly policy: PolicyInForce;
  /** Undefined: the settings name none, and one is made. */
  readonly signingKeys: SigningKeys | undefined;
  readonly version: string;
  readonly acceptEmptyRegistry?: boolean;
  readonly log: Log;
  /** Where the log goes, and audit lines. */
  readonly output: Output;
  readonly closing: Closing;
  /** Where this is one of several processes: its number, from 1, and what tells of it instead of a door. */
  readonly worker?: { readonly index: number; readonly ops: (metrics: Pick<Metrics, "read">) => OpsDoor };
}

/** The composition root: opens the rooms, joins them, and registers each close beside its open. Rejects when a door stays shut. */
export async function startApp(options: AppOptions): Promise<RunningDoors> {
  const { settings, log } = options;
  const later: Later = {};
  const metrics = openMetrics(options, later);
  const ops = options.worker?.ops(metrics) ?? (await openOpsDoor(options, metrics));
  const traces = await openTraces(options);
  keepPolicyFresh(options, metrics);
  const policy = options.policy.current;
  const view = createRevocationView();
  const clock = createInstanceClock(settings, log, metrics.clockJumped);
  const stores = await openStoresOf(options, { policy, view, clock }, metrics, later);
  later.fleet = stores.fleet;
  const parts = { view, clock, metrics, ...(await openLegacy(options, stores, clock, later)) };
  const { registry, verifier, signingKeys } = await openRegistry(options, stores, parts);
  const deciding = decidingParts(options, { registry, verifier, stores, metrics });
  const audit = await openAuditOf(options, { deciding, stores, metrics, clock });
  const upkeep = startUpkeep(options, registry, clock, metrics);
  const check = joinCheck(options, { deciding, metrics, upkeep, audit, traces, clock });
  const doors = await openDoors({
    ...options,
    explain: openExplain(options, deciding, stores, clock),
    registry,
    verifier,
    check,
    metrics,
    adminTokens: await adminTokens(settings, stores.secrets, log),
    bucketAdmin: stores.bucketAdmin,
    audit: stores.audit,
    answered: answeredBy(audit, traces),
    fleet: stores.fleet,
    ...(stores.isInPlace !== undefined && { isInPlace: stores.isInPlace }),
    signingKeys,
    ops,
  });
  stores.started();
  return doors;
}

function openStoresOf(
  options: AppOptions,
  parts: Pick<StoresOptions, "policy" | "view" | "clock">,
  metrics: Metrics,
  later: Later,
): Promise<Stores> {
  return openStores({
    ...options,
    ...parts,
    meter: metrics.store,
    // What is heard before the V1 parts are there is read with them.
    heard: (entry) => later.legacy?.hear(entry),
    missed: async () => later.legacy?.resync(),
    phase: async (stored) => later.legacy?.stored(stored),
  });
}

function answeredBy(audit: Audit, traces: Tracing | undefined): (call: AnsweredCall) => void {
  return (call) => {
    traces?.call(call);
    audit.answered(call);
  };
}

/** An explanation goes the way of a decision, and spends nothing. */
function openExplain(
  { policy }: AppOptions,
  deciding: AuthorizePorts,
  { bucketAdmin }: Stores,
  { nowMs }: Clock,
) {
  const looking = { ...deciding, buckets: lookingOnly(bucketAdmin), failures: NOTHING_COUNTED };
  return createExplain({ authorize: createAuthorize(looking), policy: policy.current, nowMs });
}

async function openAuditOf(
  options: AppOptions,
  {
    deciding,
    stores,
    metrics,
    clock,
  }: Pick<CheckParts, "deciding" | "metrics" | "clock"> & {
    readonly stores: Stores;
  },
): Promise<Audit> {
  const { clientAddress } = deciding;
  const key = await auditKey(options.settings, stores.secrets, options.log);
  return openAudit({ ...options, key, store: stores.audit, clientAddress, metrics, clock });
}

/** What is asked for before it is there. */
interface Later {
  legacy?: LegacyParts;
  fleet?: Fleet;
}

function openMetrics({ version, output }: AppOptions, later: Later): Metrics {
  return createMetrics({
    version,
    outputDropped: output.dropped,
    phase: () => later.legacy?.migration.state().phase ?? "silent",
    nowMs: Date.now,
    stalenessMs: () => later.fleet?.stalenessMs() ?? Number.POSITIVE_INFINITY,
  });
}

async function openLegacy(options: AppOptions, stores: Stores, clock: Clock, later: Later) {
  const secrets = await keyHashSecrets(options.settings, stores.secrets, options.log);
  const legacyForm = createLegacyForm(secrets, randomText);
  const legacy = createLegacyParts(legacyForm, () => stores.keys, clock, options.log);
  later.legacy = legacy;
  await followPhases(options, legacy);
  return { legacy, legacyForm };
}

function startUpkeep(
  { log, closing }: AppOptions,
  { store, view }: Registry,
  clock: Clock,
  metrics: Metrics,
): Upkeep {
  const upkeep = createUpkeep({
    store,
    view,
    clock,
    counted: metrics.keys.counted,
    saying: (name, work) => sayingOnce(work, log, upkeepFails(name)),
  });
  closing.later("the upkeep", upkeep.close);
  return upkeep;
}

async function openRegistry(
  options: AppOptions,
  { keys: store, secrets, fleet }: Stores,
  { view, clock, metrics, legacy, legacyForm }: RegistryParts,
) {
  const { signer, verifier: jwt, keys: signingKeys } = await openSigning({ ...options, secrets, metrics });
  await fleet.compareKids(() => signingKeys.ring().kids);
  followKeyAges({ ...options, signingKeys, secrets, metrics, mayNote: () => !fleet.isStrange() });
  const registry: Registry = {
    store,
    migration: legacy.migration,
    legacy: legacyForm,
    told: (entry) => {
      if (entry.kind === "legacy" || entry.kind === "phase") legacy.hear(entry);
    },
    view,
    signer,
    policy: options.policy.current,
    nowMs: clock.nowMs,
    storeClock: clock,
    newRandom: randomText,
    digest: (text) => createHash("sha256").update(text).digest("base64url"),
    auditedReuse: rememberReuse(() => performance.now()),
  };
  const verifier: KeyVerifier = {
    verify: (token, nowMs, client) =>
      (hasThreeParts(token) ? jwt : legacy.verifier).verify(token, nowMs, client),
    needsStore: (token) => !hasThreeParts(token) && legacy.verifier.needsStore?.(token) === true,
  };
  return { registry, verifier, signingKeys };
}

interface RegistryParts {
  readonly view: RevocationView;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly legacy: LegacyParts;
  readonly legacyForm: LegacyForm;
}

interface DecidingParts {
  readonly registry: Registry;
  readonly verifier: KeyVerifier;
  readonly stores: Stores;
  readonly metrics: Metrics;
}

/** What a decision is made of; an explanation looks at the same. */
function decidingParts(
  { settings, policy, log }: AppOptions,
  { registry, verifier, stores, metrics }: DecidingParts,
): AuthorizePorts {
  return {
    policy: policy.current,
    verifier: withIssuers({ policy, log }, verifier, metrics),
    view: registry.view,
    migration: registry.migration,
    stalenessMs: stores.fleet.stalenessMs,
    buckets: stores.buckets,
    failures: createBucketStore({ maxBuckets: MAX_GUARDED_ADDRESSES }),
    clientAddress: (request) =>
      clientAddress(request.peerAddress, headerLines(request, "x-forwarded-for"), settings.GRPC_TRUSTED_HOPS),
  };
}

interface CheckParts {
  readonly deciding: AuthorizePorts;
  readonly metrics: Metrics;
  readonly upkeep: Upkeep;
  readonly audit: Audit;
  readonly traces: Tracing | undefined;
  readonly clock: Clock;
}

function joinCheck(
  { policy, log }: AppOptions,
  { deciding, metrics, upkeep, audit, traces, clock }: CheckParts,
): Check {
  const tellRefusal = tellingRefusals(log, metrics);
  return createCheck({
    policy: policy.current,
    authorize: createAuthorize(deciding),
    nowMs: clock.nowMs,
    monotonicNs: process.hrtime.bigint,
    newDecisionId: randomUUID,
    decided(decision, about) {
      metrics.decided(decision, about);
      tellRefusal(decision, about);
      traces?.check(decision, about);
      audit.decided(decision, about, policy.current());
      const { principal } = decision;
      // Other issuers' tokens have no record that could note it.
      if (decision.verdict === "allow" && principal !== undefined && principal.issuer === undefined)
        upkeep.used(principal.keyId);
    },
    faulted: (error, decisionId) => log.error({ err: error, decisionId }, FAULTS.check),
    undecodable: createSampled(
      () => performance.now(),
      (unlogged, why: RangeError, decisionId: string) =>
        log.warn({ err: why, decisionId, unlogged }, FAULTS.undecodable),
    ),
  });
}
