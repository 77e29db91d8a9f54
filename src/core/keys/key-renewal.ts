import type { AuditEventName } from "../audit/audit-event.ts";
import type { OncePer } from "../cache/once-per.ts";
import { createOncePer } from "../cache/once-per.ts";
import { addressGroup } from "../decision/client-address.ts";
import type { Principal } from "../decision/principal.ts";
import type { RevocationView } from "../revocation/revocation-view.ts";
import { maxOwnerKeys } from "../sign-in/sign-in-policy.ts";
import type { CommitDeps } from "./commit.ts";
import { commit, commitUnconditionally, ensureDurable, retryOnConflict } from "./commit.ts";
import type { Issued, SigningDeps } from "./issued-key.ts";
import { issueKey } from "./issued-key.ts";
import type { CommitRequirement } from "./key-change.ts";
import { newKeyId, nowSeconds } from "./key-dates.ts";
import type { KeyRecord } from "./key-record.ts";
import { ownerCountOf } from "./key-record.ts";
import type { PolicyDeps } from "./new-key.ts";
import type { AuditDeps, CallOrigin } from "./operation-audit.ts";
import { auditEvent } from "./operation-audit.ts";
import { mayRotate } from "./operator.ts";
import type { KeyReader } from "./ports.ts";
import type { RefreshRequest, RefreshResult } from "./refresh-rule.ts";
import { refreshKey } from "./refresh-rule.ts";
import type { DeniedOperation } from "./registry-denial.ts";
import { denied } from "./registry-denial.ts";

export type RenewalDeps = CommitDeps &
  AuditDeps &
  SigningDeps &
  PolicyDeps & {
    readonly store: KeyReader;
    readonly view: Pick<RevocationView, "endReason">;
    /** Repeated refreshes that this instance has recently audited. */
    readonly auditedReuse: OncePer;
  };

/** Refreshes the key that its holder presented. The key is verified, but it may have ended since. */
export function refreshByHolder(
  deps: RenewalDeps & { readonly digest: (text: string) => string },
  holder: Principal,
  idempotencyKey: string | undefined,
  origin: CallOrigin,
): Promise<Issued | DeniedOperation> {
  const idempotency =
    idempotencyKey && deps.digest(JSON.stringify(["refresh", holder.keyId, idempotencyKey]));
  return renew(
    deps,
    holder.keyId,
    { event: "key_refreshed", ...(idempotency ? { idempotency } : {}) },
    origin,
  );
}

/** Makes the successor at once, for an operator that may grant what the key holds. */
export function rotateByOperator(
  deps: RenewalDeps,
  keyId: string,
  overlapSeconds: number | undefined,
  origin: CallOrigin,
): Promise<Issued | DeniedOperation> {
  const rotation = overlapSeconds === undefined ? {} : { overlapSeconds };
  return renew(deps, keyId, { event: "key_rotated", rotation }, origin);
}

/** Makes the successor at once, for a holder that has signed in. A lost response is repeated with the same `Idempotency-Key`. */
export function rotateByOwner(
  deps: RenewalDeps & { readonly digest: (text: string) => string },
  keyId: string,
  {
    overlapSeconds,
    idempotencyKey,
  }: { readonly overlapSeconds?: number | undefined; readonly idempotencyKey?: string | undefined },
  origin: CallOrigin,
): Promise<Issued | DeniedOperation> {
  const { caller } = origin;
  if (caller.kind !== "owner") return Promise.resolve(denied("grant_refused"));
  const idempotency =
    idempotencyKey && deps.digest(JSON.stringify(["rotate", caller.owner, keyId, idempotencyKey]));
  return renew(
    deps,
    keyId,
    {
      event: "key_rotated",
      rotation: overlapSeconds === undefined ? {} : { overlapSeconds },
      ...(idempotency ? { idempotency } : {}),
    },
    origin,
  );
}

interface Renewal extends Pick<RefreshRequest, "idempotency" | "rotation"> {
  readonly event: Extract<AuditEventName, "key_refreshed" | "key_rotated">;
}

function renew(
  deps: RenewalDeps,
  keyId: string,
  renewal: Renewal,
  origin: CallOrigin,
): Promise<Issued | DeniedOperation> {
  return retryOnConflict<Issued | DeniedOperation>(async () => {
    const current = await deps.store.load(keyId);
    if (current === undefined) return denied("key_unknown");
    const role = deps.policy().roles.get(current.role);
    if (role === undefined) return denied("role_unknown");
    if (deps.view.endReason(current, deps.nowMs()) === "key_revoked") return denied("key_revoked");
    if (renewal.rotation !== undefined && !mayRotate(origin.caller, current, role, deps.policy())) {
      return denied("grant_refused");
    }
    const { event, ...options } = renewal;
    const result = refreshKey(current, {
      ...options,
      role,
      nextKeyId: newKeyId(deps, role.name),
      nowSeconds: nowSeconds(deps),
    });
    if (result.kind !== "minted") return withoutSuccessor(deps, current, result, event, origin);
    const outcome = await commit(deps, {
      put: [result.old, result.next],
      requires: { living: current, ...overlapRequirement(deps, result.old, origin) },
      audit: [auditEvent(deps, origin, event, current)],
    });
    if (outcome.kind === "ended") return denied("key_revoked");
    if (outcome.kind === "owner_full") return denied("too_many_owner_keys");
    return outcome.kind === "committed" ? issueKey(deps, result.next, { replayed: false }) : "conflict";
  });
}

/**
 * Limits how many keys of an owner are in an overlap that its holder has begun. A chain of rotations with long overlaps would
 * otherwise make any number of valid keys. A holder with the maximum of keys can still rotate each of them.
 */
function overlapRequirement(deps: RenewalDeps, old: KeyRecord, { caller }: CallOrigin): CommitRequirement {
  const overlapsUntil = ownerCountOf(old)?.until ?? 0;
  if (caller.kind !== "owner" || overlapsUntil <= nowSeconds(deps)) return {};
  return { ownedBelow: { owner: caller.owner, as: "overlap", below: maxOwnerKeys(deps.policy().signIn) } };
}

async function withoutSuccessor(
  deps: RenewalDeps,
  current: KeyRecord,
  result: Exclude<RefreshResult, { kind: "minted" }>,
  event: Renewal["event"],
  origin: CallOrigin,
): Promise<Issued | DeniedOperation> {
  if (result.kind === "replayed") {
    const successor = await deps.store.load(result.keyId);
    if (successor === undefined) return denied("key_unknown");
    await ensureDurable(deps, [current, successor]);
    return issueKey(deps, successor, { replayed: true });
  }
  const { reason } = result;
  if (reason === "already_refreshed") await auditReuse(deps, current, event, origin);
  if (reason === "refresh_too_early") return { ...denied(reason), refreshAfter: current.refreshAfter };
  return denied(reason);
}

const REUSE_AUDITED_EVERY_MS = 3_600_000;
const MAX_REMEMBERED_REUSES = 10_000;

/** Remembers which repeated refreshes this instance has audited within the hour. */
export function rememberReuse(monotonicMs: () => number): OncePer {
  return createOncePer(REUSE_AUDITED_EVERY_MS, MAX_REMEMBERED_REUSES, monotonicMs);
}

/**
 * Audits a repeated refresh, which may come from a thief. There is one event an hour for each key and client address, so an
 * attempt of the holder does not hide one of the thief, or the reverse.
 */
async function auditReuse(
  deps: RenewalDeps,
  current: KeyRecord,
  event: Renewal["event"],
  origin: CallOrigin,
): Promise<void> {
  const id = `${event} ${current.keyId} ${addressGroup(origin.address ?? "")}`;
  if (!deps.auditedReuse.isDue(id)) return;
  const audit = [auditEvent(deps, origin, event, current, "already_refreshed")];
  await commitUnconditionally(deps, () => ({ put: [], audit }));
  deps.auditedReuse.record(id);
}
