import { randomUUID } from "node:crypto";
import { createAuthorize } from "../core/decision/authorize.ts";
import { createMigration } from "../core/legacy/migration.ts";
import type { BucketStore } from "../core/limits/ports.ts";
import type { Policy } from "../core/policy/policy.ts";
import type { Check } from "../ext-authz/check.ts";
import { createCheck } from "../ext-authz/check.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics/metrics.ts";
import type { Tracing } from "../telemetry/tracing.ts";

export interface StartupCheckDeps {
  readonly policy: () => Policy;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly traces: Tracing | undefined;
}

/** Never asked: no key is verified. */
const NO_BUCKETS: BucketStore = {
  take: () => ({ ok: false, reason: "limits_unavailable", retryAfterSeconds: 1, rates: [] }),
};

/**
 * Checks before the store has answered for the first time. What has been revoked is not known, so no key is let through,
 * whatever the policy says of outages; routes that need no key are decided as always.
 */
export function createCheckBeforeStore({ policy, log, metrics, traces }: StartupCheckDeps): Check {
  const authorize = createAuthorize({
    policy,
    verifier: { verify: () => ({ ok: false, reason: "credential_unavailable" }) },
    view: { endReason: () => undefined },
    migration: createMigration(),
    stalenessMs: () => Number.POSITIVE_INFINITY,
    buckets: NO_BUCKETS,
    failures: NO_BUCKETS,
    clientAddress: ({ peerAddress }) => peerAddress,
  });
  return createCheck({
    policy,
    authorize,
    nowMs: Date.now,
    monotonicNs: process.hrtime.bigint,
    newDecisionId: randomUUID,
    onDecision(decision, about) {
      metrics.decided(decision, about);
      traces?.check(decision, about);
    },
    // Counted as request_malformed; that is enough while the start waits.
    onUndecodable: () => undefined,
    onFault: (error, decisionId) => log.error({ err: error, decisionId }, FAULTS.check),
  });
}
