import type { Presenter } from "../keys/key-binding.ts";
import { bindingViolation } from "../keys/key-binding.ts";
import type { Migration } from "../legacy/migration.ts";
import { endedByPhase } from "../legacy/migration.ts";
import type { Policy, Role } from "../policy/policy.ts";
import type { RevocationView } from "../revocation/revocation-view.ts";
import type { DenyReason } from "./decision.ts";
import type { Verification } from "./ports.ts";
import type { Principal } from "./principal.ts";
import type { Trace } from "./trace.ts";
import { describeBinding, describeKey } from "./trace.ts";

export interface JudgementPorts {
  readonly view: Pick<RevocationView, "endReason">;
  readonly migration: Pick<Migration, "state">;
  /** Milliseconds since the revocation feed was last received; 0 where there is no feed. */
  readonly stalenessMs: () => number;
}

/** The state that a credential is judged by. */
export interface JudgementContext {
  readonly ports: JudgementPorts;
  readonly policy: Policy;
  readonly nowMs: number;
  readonly trace?: Trace | undefined;
}

/** Every reason for which a credential is not valid. */
export type CredentialDenial = Extract<
  DenyReason,
  | "credential_invalid"
  | "credential_unavailable"
  | "key_expired"
  | "revocations_stale"
  | "key_revoked"
  | "key_disabled"
  | "key_superseded"
  | "legacy_key_removed"
  | "certificate_mismatch"
  | "address_not_allowed"
>;

/**
 * Judges a verified credential: returns its role if it is valid, else the reason for the denial. Check, the key API,
 * introspection and replay all judge by this function, so one key has one reason everywhere. If several reasons apply, the
 * first of these steps decides. Allocates nothing.
 * @param presenter undefined for introspection: its caller does not present the key, so the binding does not apply
 */
export function judgeCredential(
  verified: Verification,
  context: JudgementContext,
  presenter: Presenter | undefined,
): Role | CredentialDenial {
  if (!verified.ok) return verified.reason;
  const { principal } = verified;
  context.trace?.("key", describeKey(principal), "valid signature, issuer, audience and times");
  return (
    revocationDenial(principal, context) ??
    (presenter && bindingDenial(principal, presenter, context)) ??
    roleOf(principal, context)
  );
}

/** Whether the revocation feed is so old that the policy denies every key. */
export function revocationsAreStale({ faults }: Policy, stalenessMs: number): boolean {
  return stalenessMs > faults.revocations.maxStalenessMs && faults.revocations.stale === "deny";
}

function revocationDenial(
  principal: Principal,
  { ports, policy, nowMs, trace }: JudgementContext,
): CredentialDenial | undefined {
  if (revocationsAreStale(policy, ports.stalenessMs()))
    return denied(trace, "revocation", "the revocation feed is too old", "revocations_stale");
  const reason =
    ports.view.endReason(principal, nowMs) ??
    endedByPhase(principal, ports.migration.state(), policy.migration, nowMs);
  if (reason !== undefined) return denied(trace, "revocation", principal.keyId, reason);
  trace?.("revocation", principal.keyId, "neither revoked, disabled nor superseded");
  return undefined;
}

function bindingDenial(
  principal: Principal,
  presenter: Presenter,
  { trace }: JudgementContext,
): CredentialDenial | undefined {
  if (principal.nets === undefined && principal.certificate === undefined) return undefined;
  const reason = bindingViolation(principal, presenter);
  if (reason !== undefined) {
    const observed =
      reason === "address_not_allowed" ? presenter.address() : (presenter.certificate() ?? "no certificate");
    return denied(trace, "binding", observed, reason);
  }
  trace?.("binding", describeBinding(principal), "the client matches");
  return undefined;
}

function roleOf({ role }: Principal, { policy, trace }: JudgementContext): Role | CredentialDenial {
  return (
    policy.roles.get(role) ??
    denied(trace, "role", `${role}, which is not in the policy`, "credential_invalid")
  );
}

function denied(
  trace: Trace | undefined,
  step: Parameters<Trace>[0],
  observed: string,
  reason: CredentialDenial,
): CredentialDenial {
  trace?.(step, observed, reason);
  return reason;
}
