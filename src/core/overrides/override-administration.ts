import type { AuditEventName } from "../audit/audit-event.ts";
import type { CommitDeps } from "../keys/commit.ts";
import { commit, retryOnConflict } from "../keys/commit.ts";
import type { PolicyDeps } from "../keys/new-key.ts";
import { denyPlan } from "../keys/new-key.ts";
import type { AuditDeps, CallOrigin } from "../keys/operation-audit.ts";
import { auditEvent } from "../keys/operation-audit.ts";
import type { Caller } from "../keys/operator.ts";
import { mayAssignPlan } from "../keys/operator.ts";
import type { OverrideReader } from "../keys/ports.ts";
import type { DeniedOperation } from "../keys/registry-denial.ts";
import { denied } from "../keys/registry-denial.ts";
import type { InstanceView } from "../revocation/instance-view.ts";
import type { OverrideContent, OverrideSubject, StoredOverride } from "./override.ts";
import { isInForce, MAX_OVERRIDES } from "./override.ts";

export type OverrideDeps = CommitDeps &
  AuditDeps &
  PolicyDeps & {
    readonly store: OverrideReader;
    readonly view: Pick<InstanceView, "overrides">;
  };

/** What an operator gives a subject. */
export interface RequestedOverride {
  readonly content: OverrideContent;
  /** NumericDate; absent: it applies until it is changed. */
  readonly expiresAt?: number;
}

/**
 * Sets an override, which replaces the former one. The subject need not exist: its keys may be registered later, or be tokens of
 * another issuer.
 * @param seen the version of the override on which the caller's decision is based; 0 for none
 */
export function setOverride(
  deps: OverrideDeps,
  of: OverrideSubject,
  requested: RequestedOverride,
  origin: CallOrigin,
  seen?: number,
): Promise<"done" | DeniedOperation> {
  const { plan, quotas = [] } = requested.content;
  const policy = deps.policy();
  const planDenial = plan === undefined ? undefined : denyPlan(plan, policy, origin.caller);
  if (planDenial !== undefined) return Promise.resolve(planDenial);
  if (!quotas.every(({ name }) => policy.quotaCounts.has(name)))
    return Promise.resolve(denied("quota_unknown"));
  return change(deps, { ...of, ...requested }, "limits_set", origin, seen);
}

/** Clears an override. It is also recorded if the store has none, because an instance may still know one that the store has lost. */
export function clearOverride(
  deps: OverrideDeps,
  of: OverrideSubject,
  origin: CallOrigin,
  seen?: number,
): Promise<"done" | DeniedOperation> {
  return change(deps, of, "limits_cleared", origin, seen);
}

/** Every call writes, even if it repeats one: only the newest version is sure to replace what other instances know. */
function change(
  deps: OverrideDeps,
  requested: OverrideSubject & Partial<RequestedOverride>,
  event: AuditEventName,
  origin: CallOrigin,
  seen: number | undefined,
): Promise<"done" | DeniedOperation> {
  const { scope, subject, content, expiresAt } = requested;
  return retryOnConflict<"done" | DeniedOperation>(async () => {
    const stored = await deps.store.findOverride(requested);
    const known = deps.view.overrides.entryOf(requested);
    // The store may have lost an override that this instance knows, or have one that it has not received yet.
    const former = (known?.version ?? 0) > (stored?.version ?? 0) ? known : stored;
    if (former !== undefined && !mayReplace(former, origin.caller, deps.nowMs()))
      return denied("override_protected");
    const inForce = former !== undefined && isInForce(former, deps.nowMs()) ? former.version : 0;
    if (seen !== undefined && seen !== inForce) return denied("changed_meanwhile");
    const outcome = await commit(deps, {
      put: [],
      override: {
        kind: "override",
        scope,
        subject,
        ...(content === undefined ? {} : { content }),
        ...(expiresAt === undefined ? {} : { expiresAt }),
        replaces: stored?.version ?? 0,
        above: known?.version ?? 0,
        below: MAX_OVERRIDES,
      },
      audit: [overrideEvent(deps, requested, event, origin)],
    });
    if (outcome.kind === "too_many_overrides") return denied("too_many_overrides");
    return outcome.kind === "committed" ? "done" : "conflict";
  });
}

/** A caller undoes only what it could have done: it must be able to assign the plan that it replaces. */
function mayReplace(former: StoredOverride, caller: Caller, nowMs: number): boolean {
  const plan = isInForce(former, nowMs) ? former.content?.plan : undefined;
  return plan === undefined || mayAssignPlan(caller, plan);
}

function overrideEvent(
  deps: OverrideDeps,
  { scope, subject, content = {}, expiresAt }: OverrideSubject & Partial<RequestedOverride>,
  event: AuditEventName,
  origin: CallOrigin,
) {
  const { plan, quotas = [], note } = content;
  const named = { ...(scope === "family" ? { family: subject } : { owner: subject }), ...(plan && { plan }) };
  const details = [
    ...quotas.map(({ name, limit, extra }) => `${name}=${limit}${extra > 0 ? `+${extra}` : ""}`),
    ...(expiresAt === undefined ? [] : [`until ${new Date(expiresAt * 1000).toISOString()}`]),
    ...(note === undefined ? [] : [`note: ${note}`]),
  ];
  const described = auditEvent(deps, origin, event, named);
  return details.length === 0 ? described : { ...described, reason: details.join(", ") };
}
