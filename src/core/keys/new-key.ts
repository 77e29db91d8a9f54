import type { AuditEventName } from "../audit/audit-event.ts";
import type { Migration } from "../legacy/migration.ts";
import type { Policy, Role } from "../policy/policy.ts";
import type { CutOffSubject } from "../revocation/revocation.ts";
import { maxOwnerKeys } from "../sign-in/sign-in-policy.ts";
import type { CommitDeps } from "./commit.ts";
import { commit, retryOnConflict } from "./commit.ts";
import type { CommitRequirement, RememberedCall } from "./key-change.ts";
import type { KeyDateDeps } from "./key-dates.ts";
import { issueDate, issueDateAfter, nowSeconds } from "./key-dates.ts";
import type { KeyRecord } from "./key-record.ts";
import type { AuditDeps, CallOrigin } from "./operation-audit.ts";
import { auditEvent } from "./operation-audit.ts";
import type { Caller } from "./operator.ts";
import { callerHas, mayAssignPlan, mayGrant } from "./operator.ts";
import type { DeniedOperation } from "./registry-denial.ts";
import { denied } from "./registry-denial.ts";

export interface PolicyDeps {
  readonly policy: () => Policy;
}

export type NewKeyDeps = CommitDeps &
  AuditDeps &
  KeyDateDeps &
  PolicyDeps & { readonly migration: Pick<Migration, "state"> };

/** What a caller requests of a new key. */
export interface GrantRequest {
  readonly role: string;
  /** A part of the role's scopes. Absent: all of them. */
  readonly scopes?: readonly string[];
  /** At most the role's. Absent: the role's. */
  readonly ttlSeconds?: number;
  /** Operators only, and a holder that has signed in: then its own. */
  readonly owner?: string;
  /** Only callers that may assign it. Absent: the role's plan or limits apply. */
  readonly plan?: string;
}

export interface PermittedGrant {
  readonly role: Role;
  readonly scopes: readonly string[];
  readonly selfService: boolean;
}

/** The grant that the caller may make, or the denial. */
export function permitGrant(
  deps: PolicyDeps,
  request: GrantRequest,
  caller: Caller,
): PermittedGrant | DeniedOperation {
  const policy = deps.policy();
  const role = policy.roles.get(request.role);
  if (role === undefined) return denied("role_unknown");
  const scopes = [...new Set(request.scopes ?? role.scopes)];
  if (!scopes.every((scope) => role.scopes.has(scope))) return denied("scope_unknown");
  if ((request.ttlSeconds ?? 0) > role.ttlSeconds) return denied("ttl_too_long");
  const planDenial = request.plan === undefined ? undefined : denyPlan(request.plan, policy, caller);
  if (planDenial !== undefined) return planDenial;
  if (mayGrant(caller, scopes, role, policy)) return { role, scopes, selfService: false };
  // No operator vouches for these keys, so they count against `guards.self_service_keys`.
  if (caller.kind === "owner")
    return caller.roles.has(role.name) && request.owner === caller.owner
      ? { role, scopes, selfService: true }
      : denied("grant_refused");
  if (role.selfService && request.owner === undefined) return { role, scopes, selfService: true };
  return denied(caller.kind === "anonymous" ? "operator_required" : "grant_refused");
}

/** Only a caller that may assign plans learns whether the policy has the plan. */
export function denyPlan(plan: string, { plans }: Policy, caller: Caller): DeniedOperation | undefined {
  if (!callerHas(caller, "limits:write")) return denied("plan_not_assignable");
  if (!plans.has(plan)) return denied("plan_unknown");
  return mayAssignPlan(caller, plan) ? undefined : denied("plan_not_assignable");
}

export interface NewKey<Result> {
  /** The role and owner whose cut-offs the key must be dated behind. */
  readonly subject: CutOffSubject;
  readonly event: AuditEventName;
  /** Called for each attempt, because the date is part of the key id. */
  readonly record: (issuedAt: number) => KeyRecord;
  readonly remember?: Omit<RememberedCall, "keyId">;
  /** Looks for an earlier result before each attempt. If there is one, no key is made. */
  readonly earlier?: () => Promise<Result | undefined>;
  readonly result: (record: KeyRecord) => Result | Promise<Result>;
}

/** Commits the first key of a family. If a cut-off has already ended it, the key gets the date of the cut-off. */
export function commitNewKey<Result>(
  deps: NewKeyDeps,
  key: NewKey<Result>,
  origin: CallOrigin,
): Promise<Result | DeniedOperation> {
  let earliest = 0;
  return retryOnConflict<Result | DeniedOperation>(async () => {
    const now = nowSeconds(deps);
    const earlier = await key.earlier?.();
    if (earlier !== undefined) return earlier;
    const record = key.record(issueDate(deps, key.subject, earliest));
    const outcome = await commit(deps, {
      put: [record],
      requires: requirementsOf(deps, record, origin.caller),
      ...(key.remember === undefined ? {} : { remember: { ...key.remember, keyId: record.keyId } }),
      audit: [auditEvent(deps, origin, key.event, record)],
    });
    if (outcome.kind === "committed") return key.result(record);
    if (outcome.kind === "full") return denied("too_many_keys");
    if (outcome.kind === "owner_full") return denied("too_many_owner_keys");
    if (outcome.kind === "ended") earliest = issueDateAfter(outcome.before, now);
    return "conflict";
  });
}

/** Nothing may have ended the new key already, and a self-service key must stay below the limits. */
function requirementsOf(
  { policy, migration }: NewKeyDeps,
  record: KeyRecord,
  caller: Caller,
): CommitRequirement {
  if (!record.selfService) return { living: record };
  const { guards, signIn } = policy();
  return {
    living: record,
    selfServiceBelow: guards.selfServiceKeysMax,
    ...(caller.kind === "owner" && {
      ownedBelow: { owner: caller.owner, as: "active", below: maxOwnerKeys(signIn) },
    }),
    legacyEnded: migration.state().phase === "removed",
  };
}
