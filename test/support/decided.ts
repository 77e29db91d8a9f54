import { createAuthorize } from "../../src/core/decision/authorize.ts";
import type { Decision } from "../../src/core/decision/decision.ts";
import type { DescribedRequest } from "../../src/core/decision/described-request.ts";
import { describedRequest } from "../../src/core/decision/described-request.ts";
import type { Verification } from "../../src/core/decision/ports.ts";
import type { Principal } from "../../src/core/decision/principal.ts";
import type { AuthorizePorts } from "../../src/core/decision/request-context.ts";
import type { Trace } from "../../src/core/decision/trace.ts";
import { createMigration } from "../../src/core/legacy/migration.ts";
import { NO_OVERRIDES } from "../../src/core/overrides/override-view.ts";
import { parsedPolicy } from "./parsed-policy.ts";

const NOW = 1_800_000_000;
/** NumericDate of the deprecation of V1 keys. */
export const DEPRECATED_AT = NOW - 60;
/** The principal of every key that {@link decided} verifies, unless the situation has another one. */
export const HOLDER: Principal = {
  keyId: "k1",
  family: "f1",
  role: "basic",
  scopes: ["read", "write"],
  name: "x",
  issuedAt: NOW,
  expiresAt: NOW + 1000,
  refreshAfter: NOW + 500,
};

export interface Situation {
  readonly policy: string;
  readonly verified?: Verification;
  /** Replacements for the ports of an instance whose store admits everything. */
  readonly ports?: Partial<AuthorizePorts>;
  readonly trace?: Trace;
  readonly nowSeconds?: number;
}

/** The decision of an instance on a described request. */
export async function decided(described: DescribedRequest, situation: Situation): Promise<Decision> {
  const policy = parsedPolicy(situation.policy);
  const result = describedRequest(described, policy);
  if (!result.ok) throw new Error(result.fault);
  const state = { phase: "deprecated", chosen: true, deprecatedAt: DEPRECATED_AT, version: 1 } as const;
  const authorize = createAuthorize({
    policy: () => policy,
    verifier: { verify: () => situation.verified ?? { ok: true, principal: HOLDER } },
    view: { endReason: () => undefined },
    migration: createMigration(state),
    stalenessMs: () => 0,
    overrides: NO_OVERRIDES,
    buckets: { take: () => ({ ok: true, rates: [] }) },
    failures: { take: () => ({ ok: true, rates: [] }) },
    clientAddress: ({ peerAddress }) => peerAddress,
    ...situation.ports,
  });
  return authorize(result.request, (situation.nowSeconds ?? NOW) * 1000, situation.trace);
}

/** A GET with a key. */
export function get(path: string, more: Partial<DescribedRequest> = {}): DescribedRequest {
  return { method: "GET", path, key: "t", ...more };
}
