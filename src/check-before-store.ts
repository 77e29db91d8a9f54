import { randomUUID } from "node:crypto";
import { createAuthorize } from "./core/authorize.ts";
import { createMigration } from "./core/migration.ts";
import type { BucketStore } from "./core/ports.ts";
import type { Check, CheckPorts } from "./envoy/check.ts";
import { createCheck } from "./envoy/check.ts";

/** Never asked: no key is verified. */
const NO_BUCKETS: BucketStore = {
  take: () => ({ ok: false, reason: "limits_unavailable", retryAfterSeconds: 1, rates: [] }),
};

/**
 * Checks before the store has answered for the first time. What has been revoked is not known, so no key is let through,
 * whatever the policy says of outages; routes that need no key are decided as always.
 */
export function createCheckBeforeStore(ports: Pick<CheckPorts, "policy" | "decided" | "faulted">): Check {
  const authorize = createAuthorize({
    policy: ports.policy,
    verifier: { verify: () => ({ ok: false, reason: "credential_unavailable" }) },
    view: { ended: () => undefined },
    migration: createMigration(),
    stalenessMs: () => Number.POSITIVE_INFINITY,
    buckets: NO_BUCKETS,
    failures: NO_BUCKETS,
    clientAddress: ({ peerAddress }) => peerAddress,
  });
  return createCheck({
    ...ports,
    authorize,
    nowMs: Date.now,
    monotonicNs: process.hrtime.bigint,
    newDecisionId: randomUUID,
  });
}
