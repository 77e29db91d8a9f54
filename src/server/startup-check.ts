import { randomUUID } from "node:crypto";
import { createAuthorize } from "../core/decision/authorize.ts";
import { createMigration } from "../core/legacy/migration.ts";
import type { DescriptorLimits, TakeOutcome } from "../core/limits/ports.ts";
import { NO_OVERRIDES } from "../core/overrides/override-view.ts";
import type { Policy } from "../core/policy/policy.ts";
import { createCheck } from "../ext-authz/check.ts";
import type { CheckPorts } from "../ext-authz/decide.ts";
import { createForwardCheck } from "../forward-auth/forward-check.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import type { Tracing } from "../telemetry/tracing.ts";
import type { Checks } from "./check-handler.ts";
import type { GrpcShadow } from "./grpc-shadow/shadow.ts";
import { createRateLimits } from "./rate-limits.ts";
import type { Runtime } from "./runtime.ts";

export interface StartupCheckDeps {
  readonly policy: () => Policy;
  readonly tracing: Tracing | undefined;
  readonly grpcShadow: GrpcShadow | undefined;
}

/** Never called, because no key is verified. */
const UNAVAILABLE: TakeOutcome = { ok: false, reason: "limits_unavailable", retryAfterSeconds: 1, rates: [] };
const NO_LIMITS: DescriptorLimits = {
  take: () => UNAVAILABLE,
  peek: () => UNAVAILABLE,
};

/**
 * Serves Checks before the store has responded for the first time. Revocations are not known yet, so every key is denied,
 * whatever the policy says about outages. Routes that need no key are decided as always.
 */
export function createChecksBeforeStore(
  { log, metrics, settings }: Pick<Runtime, "log" | "metrics" | "settings">,
  { policy, tracing, grpcShadow }: StartupCheckDeps,
): Checks {
  const authorize = createAuthorize({
    policy,
    verifier: { verify: () => ({ ok: false, reason: "credential_unavailable" }) },
    view: { endReason: () => undefined },
    migration: createMigration(),
    stalenessMs: () => Number.POSITIVE_INFINITY,
    overrides: NO_OVERRIDES,
    buckets: NO_LIMITS,
    failures: NO_LIMITS,
    clientAddress: ({ peerAddress }) => peerAddress,
  });
  const ports: CheckPorts = {
    policy,
    authorize,
    nowMs: Date.now,
    monotonicNs: process.hrtime.bigint,
    newDecisionId: randomUUID,
    onDecision(decision, facts) {
      metrics.countDecision(decision, facts);
      tracing?.check(decision, facts);
    },
    // The metrics count it as request_malformed, which is enough during the start.
    onUndecodable: () => undefined,
    onFault: (error, decisionId) => log.error({ err: error, decisionId }, FAULTS.check),
  };
  return {
    check: createCheck(ports, { observer: grpcShadow?.responses }),
    forwardCheck: createForwardCheck(ports, { trustedHops: settings.AUTH_TRUSTED_HOPS }),
    shouldRateLimit: createRateLimits(
      { log, metrics },
      {
        policy,
        limits: NO_LIMITS,
        nowMs: Date.now,
        receiveCharge({ amount = 0 }) {
          metrics.charged({ result: "lost", unit: undefined, amount });
          return false;
        },
      },
    ),
  };
}
