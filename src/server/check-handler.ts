import { randomUUID } from "node:crypto";
import type { CheckFacts } from "../core/audit/ports.ts";
import type { AuthorizePorts } from "../core/decision/authorize.ts";
import { createAuthorize } from "../core/decision/authorize.ts";
import { clientAddress } from "../core/decision/client-address.ts";
import type { Decision } from "../core/decision/decision.ts";
import type { Explain } from "../core/decision/explain.ts";
import { createExplain, readOnlyBuckets, UNCOUNTED_FAILURES } from "../core/decision/explain.ts";
import type { KeyVerifier } from "../core/decision/ports.ts";
import { headerLines } from "../core/decision/request.ts";
import type { Registry } from "../core/keys/registry.ts";
import type { BucketAdmin } from "../core/limits/ports.ts";
import type { Check } from "../ext-authz/check.ts";
import { createCheck } from "../ext-authz/check.ts";
import { createBucketStore } from "../memory/bucket-store.ts";
import type { ActivePolicy } from "../policy/active-policy.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import { createSampled } from "../telemetry/sampled.ts";
import type { Tracing } from "../telemetry/tracing.ts";
import type { Audit } from "./audit.ts";
import type { BackgroundWork } from "./background.ts";
import { withIssuers } from "./issuers.ts";
import type { Stores } from "./ports.ts";
import type { Runtime } from "./runtime.ts";
import type { Metering } from "./usage.ts";

/** Addresses whose invalid keys are counted. The least recently used one is evicted first. */
const MAX_GUARDED_ADDRESSES = 100_000;

export interface AuthorizeDeps {
  readonly registry: Registry;
  readonly verifier: KeyVerifier;
  readonly stores: Stores;
  readonly policy: ActivePolicy;
}

/** The ports of a decision. Checks and explanations share them. */
export function createAuthorizePorts(
  runtime: Runtime,
  { registry, verifier, stores, policy }: AuthorizeDeps,
): AuthorizePorts {
  const { settings } = runtime;
  return {
    policy: policy.current,
    verifier: withIssuers(runtime, policy, verifier),
    view: registry.view,
    overrides: registry.view.overrides,
    migration: registry.migration,
    stalenessMs: stores.fleet.stalenessMs,
    buckets: stores.buckets,
    failures: createBucketStore({ maxBuckets: MAX_GUARDED_ADDRESSES }),
    clientAddress: (request) =>
      clientAddress(request.peerAddress, headerLines(request, "x-forwarded-for"), settings.GRPC_TRUSTED_HOPS),
  };
}

/** Decides as a Check does, and spends no tokens. */
export function createExplainHandler(
  { clock }: Pick<Runtime, "clock">,
  ports: AuthorizePorts,
  bucketAdmin: BucketAdmin,
): Explain {
  const readOnly = { ...ports, buckets: readOnlyBuckets(bucketAdmin), failures: UNCOUNTED_FAILURES };
  return createExplain({
    authorize: createAuthorize(readOnly),
    policy: ports.policy,
    nowMs: clock.nowMs,
  });
}

export interface CheckDeps {
  readonly ports: AuthorizePorts;
  readonly background: BackgroundWork;
  readonly metering: Pick<Metering, "meter">;
  readonly audit: Audit;
  readonly tracing: Tracing | undefined;
}

/** Serves Envoy's Checks. Each decision is counted, traced and audited. */
export function createCheckHandler(
  { log, metrics, clock }: Runtime,
  { ports, background, metering: { meter }, audit, tracing }: CheckDeps,
): Check {
  const logUnknownPlan = createSampled(
    () => performance.now(),
    (unlogged, plan: string) => log.warn({ plan, unlogged }, FAULTS.planUnknown),
  );
  const onUnknownPlan = (plan: string) => {
    metrics.unknownPlan();
    logUnknownPlan(plan);
  };
  return createCheck({
    policy: ports.policy,
    authorize: createAuthorize({ ...ports, onUnknownPlan }),
    nowMs: clock.nowMs,
    monotonicNs: process.hrtime.bigint,
    newDecisionId: randomUUID,
    onDecision(decision, facts) {
      metrics.countDecision(decision, facts);
      meter?.count(decision, facts.mode);
      logRejection(decision, facts);
      tracing?.check(decision, facts);
      audit.onDecision(decision, facts, ports.policy());
      const { principal } = decision;
      // Tokens of other issuers have no record.
      if (decision.verdict === "allow" && principal !== undefined && principal.issuer === undefined)
        background.recordUse(principal.keyId);
    },
    onFault: (error, decisionId) => log.error({ err: error, decisionId }, FAULTS.check),
    onUndecodable: createSampled(
      () => performance.now(),
      (unlogged, why: RangeError, decisionId: string) =>
        log.warn({ err: why, decisionId, unlogged }, FAULTS.undecodable),
    ),
  });

  /** Logs why a credential was rejected. Nothing of the credential itself is logged. */
  function logRejection(decision: Decision, { decisionId }: Pick<CheckFacts, "decisionId">): void {
    if (decision.verdict === "allow" || decision.rejection === undefined) return;
    metrics.tokenRejected(decision.rejection);
    log.debug({ ...decision.rejection, decisionId }, "a credential was rejected");
  }
}
