import type { AuditEvent } from "../audit/audit-event.ts";
import type { Principal } from "../decision/principal.ts";
import { isForeignId } from "../policy/issuer.ts";
import type { CutOff } from "../revocation/revocation.ts";
import type { CommitDeps } from "./commit.ts";
import { commit, commitUnconditionally, ensureDurable, retryOnConflict } from "./commit.ts";
import { DECIDED_WITHIN_SECONDS } from "./key-change.ts";
import type { DateDeps } from "./key-dates.ts";
import { nowSeconds } from "./key-dates.ts";
import { MAX_KEY_LIFE_SECONDS, revokeKey } from "./key-lifecycle.ts";
import { isLegacyId, NEVER } from "./key-record.ts";
import type { AuditDeps, CallOrigin } from "./operation-audit.ts";
import { auditEvent } from "./operation-audit.ts";
import type { EndReader, KeyEnd, KeyReader } from "./ports.ts";
import type { DeniedOperation } from "./registry-denial.ts";
import { denied } from "./registry-denial.ts";

/** Ends single keys. */
export type KeyRevocationDeps = CommitDeps & AuditDeps & { readonly store: KeyReader };

/** Ends families and the keys issued before a moment. */
export type EndDeps = CommitDeps & AuditDeps & { readonly store: EndReader };

export interface Done {
  readonly kind: "done";
  /** Whether an earlier call did the same. Then nothing was written. */
  readonly replayed: boolean;
}

const DONE: Done = { kind: "done", replayed: false };
const DONE_BEFORE: Done = { kind: "done", replayed: true };

/**
 * Ends the whole family of a key for its holder, because the holder also has the key's successors. The record is not
 * required: a store that has lost it must not keep the key alive.
 */
export function revokeByHolder(deps: EndDeps, holder: Principal, origin: CallOrigin): Promise<Done> {
  return revokeFamily(deps, holder.family, origin);
}

/**
 * Ends one key, but not its predecessors or successors.
 * @param withoutRecord also ends a key that has no record: the store may have lost the record of a valid key
 */
export function revokeOne(
  deps: KeyRevocationDeps,
  keyId: string,
  origin: CallOrigin,
  withoutRecord = false,
): Promise<Done | DeniedOperation> {
  return retryOnConflict<Done | DeniedOperation>(async () => {
    const current = await deps.store.load(keyId);
    if (current === undefined)
      return withoutRecord ? revokeWithoutRecord(deps, keyId, origin) : denied("key_unknown");
    const next = revokeKey(current, nowSeconds(deps));
    if (next === current) {
      await ensureDurable(deps);
      return DONE_BEFORE;
    }
    const audit = [auditEvent(deps, origin, "key_revoked", current)];
    const outcome = await commit(deps, { put: [next], audit });
    return outcome.kind === "committed" ? DONE : "conflict";
  });
}

async function revokeWithoutRecord(
  deps: CommitDeps & AuditDeps,
  keyId: string,
  origin: CallOrigin,
): Promise<Done> {
  await commitUnconditionally(deps, () => ({
    put: [],
    end: {
      kind: "key",
      keyId,
      version: Math.floor(deps.storeClock.storeNowMs()),
      expiresAt: retainUntil(deps, isLegacyId(keyId)),
      revoked: true,
      disabled: false,
    },
    audit: [auditEvent(deps, origin, "key_revoked", { keyId })],
  }));
  return DONE;
}

/** A repeated revocation of another issuer's family prolongs its end to 400 days from then, at most once a day. */
const PROLONGED_EVERY_SECONDS = 86_400;

/** Ends every key of a family, including keys that a racing refresh issues. Idempotent. */
export async function revokeFamily(deps: EndDeps, family: string, origin: CallOrigin): Promise<Done> {
  const ending = { kind: "family", family, until: retainUntil(deps, isLegacyId(family)) } as const;
  const written = await deps.store.findEnd(ending);
  // No key of our own family is issued after its end, so the stored end suffices. Other issuers continue to issue tokens.
  const least = isForeignId(family) ? ending.until - PROLONGED_EVERY_SECONDS : nowSeconds(deps);
  if (written?.end.kind === "family" && written.end.until > least) return endedBefore(deps, written.end);
  await commitUnconditionally(deps, () => ({
    put: [],
    end: ending,
    audit: [auditEvent(deps, origin, "family_revoked", { family })],
  }));
  return DONE;
}

/** The NumericDate after which no affected token can be alive. V1 keys never expire. */
function retainUntil(deps: DateDeps, isLegacy: boolean): number {
  return isLegacy ? NEVER : nowSeconds(deps) + MAX_KEY_LIFE_SECONDS;
}

/** Ends every key that the owner has now. Keys that it gets later are valid. A family without an owner owns itself. */
export function revokeOwner(deps: EndDeps, owner: string, origin: CallOrigin): Promise<Done> {
  const audit = [auditEvent(deps, origin, "owner_revoked", { owner })];
  return cutOff(deps, { scope: "owner", subject: owner, until: NEVER }, "now", audit);
}

/**
 * Ends the keys issued before a moment (NumericDate), or all keys issued so far. `iat` is in whole seconds and may be a few
 * seconds ahead, so the store determines the moment that is later than all of them. Later keys are dated behind it.
 */
function cutOff(
  deps: EndDeps,
  subject: Omit<CutOff, "before">,
  moment: number | "now",
  audit: readonly AuditEvent[],
): Promise<Done> {
  let least = 0;
  return retryOnConflict<Done>(async () => {
    const now = nowSeconds(deps);
    const beyondIssued = moment === "now" || moment >= now - DECIDED_WITHIN_SECONDS;
    const before = Math.max(moment === "now" ? now + 1 : Math.min(moment, now + 1), least);
    const ending = { kind: "cutoff", ...subject, before } as const;
    const written = await deps.store.findEnd(ending);
    if (
      written?.end.kind === "cutoff" &&
      (beyondIssued ? written.isBeyondIssued : written.end.before >= before)
    )
      return endedBefore(deps, written.end);
    const outcome = await commit(deps, {
      put: [],
      end: ending,
      ...(beyondIssued && { requires: { beyondIssued } }),
      audit,
    });
    if (outcome.kind === "early") least = outcome.before;
    return outcome.kind === "committed" ? DONE : "conflict";
  });
}

/** The stored end suffices, so nothing is written. This instance's Checks must see it at once. */
async function endedBefore(deps: EndDeps, written: KeyEnd): Promise<Done> {
  deps.view.apply([written]);
  await ensureDurable(deps);
  return DONE_BEFORE;
}

/** The keys that an incident affects. Without a role and an owner: all keys. */
export interface Incident {
  readonly role?: string;
  readonly owner?: string;
}

/** Maximum difference in seconds between the clock of an operator and the store's. */
const OPERATOR_AHEAD_SECONDS = 2;

/** Whether a moment (NumericDate, rounded up) is in the future, and not merely now by the operator's clock. */
export function isInFuture(moment: number, nowMs: number): boolean {
  return (moment - 1 - OPERATOR_AHEAD_SECONDS) * 1000 >= nowMs;
}

/**
 * The incident switch: ends every key that was issued before a moment (NumericDate, not {@link isInFuture}). Later keys are
 * valid. A moment of the last seconds or of the next ones counts as now, so that it includes every existing key and no later
 * one, whichever clock dated them.
 */
export function revokeIssuedBefore(
  deps: EndDeps,
  before: number,
  { role, owner }: Incident,
  origin: CallOrigin,
): Promise<Done> {
  const subject = role === undefined ? (owner === undefined ? {} : { owner }) : { role };
  const scope = role === undefined ? (owner === undefined ? "all" : "owner") : "role";
  const audit = [auditEvent(deps, origin, "keys_cut_off", subject)];
  return cutOff(deps, { scope, subject: role ?? owner ?? "", until: NEVER }, before, audit);
}
