import { randomUUID } from "node:crypto";
import type { CheckFacts } from "../core/audit/ports.ts";
import { createAuthorize } from "../core/decision/authorize.ts";
import { clientAddress } from "../core/decision/client-address.ts";
import type { Decision } from "../core/decision/decision.ts";
import type { Explain } from "../core/decision/explain.ts";
import { createExplain, readOnlyLimits, readOnlyLook, UNCOUNTED_FAILURES } from "../core/decision/explain.ts";
import type { KeyVerifier } from "../core/decision/ports.ts";
import { headerLines } from "../core/decision/request.ts";
import type { AuthorizePorts } from "../core/decision/request-context.ts";
import type { Registry } from "../core/keys/registry.ts";
import type { Check } from "../ext-authz/check.ts";
import { createCheck } from "../ext-authz/check.ts";
import type { CheckPorts } from "../ext-authz/decide.ts";
import type { ForwardCheck } from "../forward-auth/forward-check.ts";
import { createForwardCheck } from "../forward-auth/forward-check.ts";
import type { UnaryMethod } from "../grpc/transport.ts";
import { createBucketStore } from "../memory/bucket-store.ts";
import type { ActivePolicy } from "../policy/active-policy.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import { createSampled } from "../telemetry/sampled.ts";
import type { Tracing } from "../telemetry/tracing.ts";
import type { Audit } from "./audit.ts";
import type { BackgroundWork } from "./background.ts";
import type { Charges } from "./charges.ts";
import type { GrpcShadow } from "./grpc-shadow/shadow.ts";
import { withIssuers } from "./issuers.ts";
import type { Stores } from "./ports.ts";
import { createRateLimits } from "./rate-limits.ts";
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
    charged: stores.chargedQuotas,
    failures: createBucketStore({ maxBuckets: MAX_GUARDED_ADDRESSES }),
    clientAddress: (request) =>
      clientAddress(request.peerAddress, headerLines(request, "x-forwarded-for"), settings.GRPC_TRUSTED_HOPS),
  };
}

/** Decides as a Check does, and spends no tokens. */
export function createExplainHandler(
  { clock }: Pick<Runtime, "clock">,
  ports: AuthorizePorts,
  { bucketAdmin, quotaAdmin }: Pick<Stores, "bucketAdmin" | "quotaAdmin">,
): Explain {
  const buckets = readOnlyLimits(bucketAdmin, quotaAdmin);
  const readOnly = { ...ports, buckets, charged: readOnlyLook(quotaAdmin), failures: UNCOUNTED_FAILURES };
  return createExplain({
    authorize: createAuthorize(readOnly),
    policy: ports.policy,
    nowMs: clock.nowMs,
  });
}

export interface CheckDeps {
  readonly ports: AuthorizePorts;
  readonly stores: Pick<Stores, "descriptorLimits">;
  readonly charges: Charges;
  readonly background: BackgroundWork;
  readonly metering: Pick<Metering, "meter">;
  readonly audit: Audit;
  readonly tracing: Tracing | undefined;
  readonly grpcShadow: GrpcShadow | undefined;
}

/** One way to decide for each kind of request. */
export interface Checks {
  readonly check: Check;
  readonly forwardCheck: ForwardCheck;
  readonly shouldRateLimit: UnaryMethod["handle"];
}

/** Serves Envoy's Checks and other proxies' calls. Each decision is counted, traced and audited. */
export function createChecks(
  { log, metrics, clock, settings }: Runtime,
  { ports, stores, charges, background, metering: { meter }, audit, tracing, grpcShadow }: CheckDeps,
): Checks {
  const onUnknownPlan = createUnknownPlans({ log, metrics });
  const undecodableLog = (fault: (typeof FAULTS)["undecodable" | "undescribed"]) =>
    createSampled(
      () => performance.now(),
      (unlogged, why: RangeError, decisionId: string) => log.warn({ err: why, decisionId, unlogged }, fault),
    );
  const checkPorts: CheckPorts = {
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
        background.recordUse(principal);
    },
    onFault: (error, decisionId) => log.error({ err: error, decisionId }, FAULTS.check),
    onUndecodable: undecodableLog(FAULTS.undecodable),
  };
  const forwardPorts = { ...checkPorts, onUndecodable: undecodableLog(FAULTS.undescribed) };
  return {
    check: createCheck(checkPorts, { tickets: charges.tickets, observer: grpcShadow?.responses }),
    forwardCheck: createForwardCheck(forwardPorts, { trustedHops: settings.AUTH_TRUSTED_HOPS }),
    shouldRateLimit: createRateLimits(
      { log, metrics },
      {
        policy: ports.policy,
        limits: stores.descriptorLimits,
        nowMs: clock.nowMs,
        receiveCharge: charges.receive,
      },
    ),
  };

  /** Logs why a credential was rejected. Nothing of the credential itself is logged. */
  function logRejection(decision: Decision, { decisionId }: Pick<CheckFacts, "decisionId">): void {
    if (decision.verdict === "allow" || decision.rejection === undefined) return;
    metrics.tokenRejected(decision.rejection);
    log.debug({ ...decision.rejection, decisionId }, "a credential was rejected");
  }
}

/** Counts and logs a plan that the policy does not have. */
function createUnknownPlans({ log, metrics }: Pick<Runtime, "log" | "metrics">): (plan: string) => void {
  const logUnknownPlan = createSampled(
    () => performance.now(),
    (unlogged, plan: string) => log.warn({ plan, unlogged }, FAULTS.planUnknown),
  );
  return (plan) => {
    metrics.unknownPlan();
    logUnknownPlan(plan);
  };
}
