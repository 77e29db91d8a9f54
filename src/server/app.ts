import { randomUUID } from "node:crypto";
import type { Secrets } from "../config/secrets.ts";
import { readSecrets } from "../config/secrets.ts";
import type { Settings } from "../config/settings.ts";
import type { CompletedCall } from "../core/audit/ports.ts";
import type { Clock } from "../core/clock.ts";
import type { AuthorizePorts } from "../core/decision/authorize.ts";
import { createAuthorize } from "../core/decision/authorize.ts";
import { clientAddress } from "../core/decision/client-address.ts";
import { createExplain, readOnlyBuckets, UNCOUNTED_FAILURES } from "../core/decision/explain.ts";
import type { KeyVerifier } from "../core/decision/ports.ts";
import { headerLines } from "../core/decision/request.ts";
import type { Registry } from "../core/keys/registry.ts";
import { createRevocationView } from "../core/revocation/revocation-view.ts";
import type { Check } from "../ext-authz/check.ts";
import { createCheck } from "../ext-authz/check.ts";
import type { SigningKeys } from "../jwt/signing-keys.ts";
import { createBucketStore } from "../memory/bucket-store.ts";
import type { ActivePolicy } from "../policy/active-policy.ts";
import { FAULTS, unsetSecretLogger, upkeepFails } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics/metrics.ts";
import { createMetrics } from "../telemetry/metrics/metrics.ts";
import type { Output } from "../telemetry/output.ts";
import { createSampled } from "../telemetry/sampled.ts";
import type { Tracing } from "../telemetry/tracing.ts";
import type { Audit } from "./audit.ts";
import { openAudit } from "./audit.ts";
import type { BackgroundWork } from "./background.ts";
import { createUpkeep } from "./background.ts";
import { createInstanceClock } from "./instance-clock.ts";
import { logRejections, withIssuers } from "./issuers.ts";
import { followKeyAges } from "./key-ages.ts";
import type { Addresses, Listeners } from "./listeners.ts";
import { createListeners } from "./listeners.ts";
import type { OpsListener } from "./ops-listener.ts";
import { openOpsListener } from "./ops-listener.ts";
import { watchPolicy } from "./policy-reload.ts";
import type { LateBindings } from "./registry.ts";
import { compareWithFleet, joinRegistry, openLegacy, openStoresWithRetry } from "./registry.ts";
import { logTransitions } from "./repeat.ts";
import type { Shutdown } from "./shutdown.ts";
import type { SigningServices } from "./signing.ts";
import { openSigning } from "./signing.ts";
import type { RetryUntilAvailable } from "./start-wait.ts";
import { createStartWait } from "./start-wait.ts";
import { createCheckBeforeStore } from "./startup-check.ts";
import type { Stores } from "./stores.ts";
import { openTraces } from "./tracing.ts";

/** Addresses whose bad keys are counted; the one heard of longest ago is forgotten first. */
const MAX_GUARDED_ADDRESSES = 100_000;

export interface AppOptions {
  readonly settings: Settings;
  readonly policy: ActivePolicy;
  /** Undefined: the settings name none, and one is made. */
  readonly signingKeys: SigningKeys | undefined;
  readonly version: string;
  readonly acceptEmptyRegistry?: boolean;
  readonly log: Log;
  /** Where the log goes, and audit lines. */
  readonly output: Output;
  readonly closing: Shutdown;
  /** Where this is one of several processes: its number, from 1, and what tells of it instead of a door. */
  readonly worker?: { readonly index: number; readonly ops: (metrics: Pick<Metrics, "read">) => OpsListener };
}

/** An instance that is ready, or on its way there. */
export interface StartedApp extends Pick<Listeners, "drain" | "skipDrain"> {
  /** Resolves once it is ready, with where it listens. Rejects with what keeps it from that, if that does not pass by itself. */
  readonly ready: Promise<Addresses>;
}

/**
 * The composition root: opens the modules, joins them, and registers each close beside its open. While the store does not
 * answer the listeners are open, and deny.
 */
export async function startApp(options: AppOptions): Promise<StartedApp> {
  const later: LateBindings = {};
  const metrics = openMetrics(options, later);
  const ops = options.worker?.ops(metrics) ?? (await openOpsListener(options, metrics));
  const traces = await openTraces(options);
  watchPolicy(options, metrics);
  // The listeners close before the rest, whose parts their open calls still need.
  const [closing, closeListeners] = [options.closing.group(), options.closing.group()];
  const checkBeforeStore = createCheckBeforeStore({
    ...options,
    policy: options.policy.current,
    metrics,
    traces,
  });
  const doors = createListeners({ ...options, closing: closeListeners, metrics, ops, checkBeforeStore });
  const { untilAnswered, stop } = createStartWait({ log: options.log, waits: doors.waits });
  const ready = openComponents({ ...options, closing, untilAnswered }, { later, metrics, traces, doors });
  options.closing.defer("the start", () => stop(ready));
  return { drain: doors.drain, skipDrain: doors.skipDrain, ready };
}

interface WaitingOptions extends AppOptions {
  readonly untilAnswered: RetryUntilAvailable;
}

interface StartDeps {
  readonly later: LateBindings;
  readonly metrics: Metrics;
  readonly traces: Tracing | undefined;
  readonly doors: Listeners;
}

/** Everything that needs the store, and at last what the listeners serve. */
async function openComponents(
  options: WaitingOptions,
  { later, metrics, traces, doors }: StartDeps,
): Promise<Addresses> {
  const { settings, log, untilAnswered } = options;
  const view = createRevocationView();
  const clock = createInstanceClock(settings, log, metrics.clockJumped);
  const stores = await openStoresWithRetry(options, { later, metrics, view, clock });
  const secrets = await untilAnswered(() => readSecrets(settings, stores.secrets, unsetSecretLogger(log)));
  const signing = await openSigning({ ...options, secrets: stores.secrets, metrics });
  await compareWithFleet(options, { stores, secrets, signing, later });
  startKeyAges(options, { stores, signing, metrics });
  const legacy = await openLegacy(options, { stores, secrets, later, clock });
  const { registry, verifier } = joinRegistry(options, { stores, view, signing, legacy, clock });
  const deciding = authorizeDeps(options, { registry, verifier, stores, metrics });
  const audit = await openAuditOf(options, { deciding, stores, metrics, secrets, clock });
  const upkeep = startUpkeep(options, registry, clock, metrics);
  const addresses = await doors.serve({
    ...options,
    check: createCheckHandler(options, { deciding, metrics, upkeep, audit, traces, clock }),
    explain: openExplain(options, deciding, stores, clock),
    registry,
    verifier,
    metrics,
    adminTokens: secrets.adminTokens,
    bucketAdmin: stores.bucketAdmin,
    audit: stores.audit,
    onCompletedCall: answeredBy(audit, traces),
    fleet: stores.fleet,
    ...(stores.isInPlace !== undefined && { isInPlace: stores.isInPlace }),
    signingKeys: signing.keys,
  });
  stores.started();
  return addresses;
}

function answeredBy(audit: Audit, traces: Tracing | undefined): (call: CompletedCall) => void {
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
  const looking = { ...deciding, buckets: readOnlyBuckets(bucketAdmin), failures: UNCOUNTED_FAILURES };
  return createExplain({ authorize: createAuthorize(looking), policy: policy.current, nowMs });
}

async function openAuditOf(
  options: AppOptions,
  { deciding, stores, metrics, secrets, clock }: AuditedDeps,
): Promise<Audit> {
  const { clientAddress } = deciding;
  return openAudit({ ...options, key: secrets.auditKey, store: stores.audit, clientAddress, metrics, clock });
}

interface AuditedDeps extends Pick<CheckDeps, "deciding" | "metrics" | "clock"> {
  readonly stores: Stores;
  readonly secrets: Secrets;
}

function openMetrics({ version, output }: AppOptions, later: LateBindings): Metrics {
  return createMetrics({
    version,
    outputDropped: output.dropped,
    phase: () => later.legacy?.migration.state().phase ?? "silent",
    nowMs: Date.now,
    stalenessMs: () => later.fleet?.stalenessMs() ?? Number.POSITIVE_INFINITY,
    clockAheadMs: () => later.fleet?.clockAheadMs() ?? 0,
  });
}

function startKeyAges(
  options: AppOptions,
  {
    stores,
    signing,
    metrics,
  }: Pick<AuthorizeDeps, "stores" | "metrics"> & { readonly signing: SigningServices },
): void {
  const { secrets, fleet } = stores;
  followKeyAges({
    ...options,
    signingKeys: signing.keys,
    secrets,
    metrics,
    mayNote: () => !fleet.differsFromFleet(),
  });
}

function startUpkeep(
  { log, closing }: AppOptions,
  { store, view }: Registry,
  clock: Clock,
  metrics: Metrics,
): BackgroundWork {
  const upkeep = createUpkeep({
    store,
    view,
    clock,
    counted: metrics.keys.counted,
    saying: (name, work) => logTransitions(work, log, upkeepFails(name)),
  });
  closing.defer("the upkeep", upkeep.close);
  return upkeep;
}

interface AuthorizeDeps {
  readonly registry: Registry;
  readonly verifier: KeyVerifier;
  readonly stores: Stores;
  readonly metrics: Metrics;
}

/** What a decision is made of; an explanation looks at the same. */
function authorizeDeps(
  { settings, policy, log }: AppOptions,
  { registry, verifier, stores, metrics }: AuthorizeDeps,
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

interface CheckDeps {
  readonly deciding: AuthorizePorts;
  readonly metrics: Metrics;
  readonly upkeep: BackgroundWork;
  readonly audit: Audit;
  readonly traces: Tracing | undefined;
  readonly clock: Clock;
}

function createCheckHandler(
  { policy, log }: AppOptions,
  { deciding, metrics, upkeep, audit, traces, clock }: CheckDeps,
): Check {
  const logDenial = logRejections(log, metrics);
  return createCheck({
    policy: policy.current,
    authorize: createAuthorize(deciding),
    nowMs: clock.nowMs,
    monotonicNs: process.hrtime.bigint,
    newDecisionId: randomUUID,
    onDecision(decision, about) {
      metrics.decided(decision, about);
      logDenial(decision, about);
      traces?.check(decision, about);
      audit.decided(decision, about, policy.current());
      const { principal } = decision;
      // Other issuers' tokens have no record that could note it.
      if (decision.verdict === "allow" && principal !== undefined && principal.issuer === undefined)
        upkeep.recordUse(principal.keyId);
    },
    onFault: (error, decisionId) => log.error({ err: error, decisionId }, FAULTS.check),
    onUndecodable: createSampled(
      () => performance.now(),
      (unlogged, why: RangeError, decisionId: string) =>
        log.warn({ err: why, decisionId, unlogged }, FAULTS.undecodable),
    ),
  });
}
