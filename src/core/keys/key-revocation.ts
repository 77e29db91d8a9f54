import type { AuditEvent } from "../audit/audit-event.ts";
import type { Principal } from "../decision/principal.ts";
import { isForeignId } from "../policy/issuer.ts";
import type { CutOff } from "../revocation/revocation.ts";
import { MAX_KEY_LIFE_SECONDS, revokeKey } from "./key-lifecycle.ts";
import { isLegacyId, NEVER } from "./key-record.ts";
import type { KeyEnd } from "./ports.ts";
import { DECIDED_WITHIN_SECONDS } from "./ports.ts";
import type { CallOrigin, DeniedOperation, Registry } from "./registry.ts";
import {
  auditEvent,
  commit,
  commitAnyhow,
  ensureDurable,
  nowSeconds,
  refused,
  retryOnConflict,
} from "./registry.ts";

export interface Done {
  readonly kind: "done";
  /** Whether it had been done before: nothing was written. */
  readonly again: boolean;
}

const DONE: Done = { kind: "done", again: false };
const DONE_BEFORE: Done = { kind: "done", again: true };

/** Whoever holds a key may end it: the whole family, since its successors are in the same hands. */
export async function revokeByHolder(
  registry: Registry,
  holder: Principal,
  origin: CallOrigin,
): Promise<Done | DeniedOperation> {
  // Whether the registry still has the key is not asked: a store that has lost its record must not keep it alive.
  return revokeFamily(registry, holder.family, origin);
}

/**
 * Ends one key alone, its predecessors and successors not. `withoutRecord`: also one that the store does not know, for it may
 * have lost the record of a key that is good everywhere.
 */
export function revokeOne(
  registry: Registry,
  keyId: string,
  origin: CallOrigin,
  withoutRecord = false,
): Promise<Done | DeniedOperation> {
  return retryOnConflict<Done | DeniedOperation>(async () => {
    const current = await registry.store.load(keyId);
    if (current === undefined)
      return withoutRecord ? revokeLost(registry, keyId, origin) : refused("key_unknown");
    const next = revokeKey(current, nowSeconds(registry));
    if (next === current) {
      await ensureDurable(registry);
      return DONE_BEFORE;
    }
    const audit = [auditEvent(registry, origin, "key_revoked", current)];
    const outcome = await commit(registry, { put: [next], audit });
    return outcome.kind === "committed" ? DONE : "conflict";
  });
}

async function revokeLost(registry: Registry, keyId: string, origin: CallOrigin): Promise<Done> {
  await commitAnyhow(registry, () => ({
    put: [],
    end: {
      kind: "key",
      keyId,
      version: Math.floor(registry.storeClock.storeNowMs()),
      expiresAt: retainUntil(registry, isLegacyId(keyId)),
      revoked: true,
      disabled: false,
    },
    audit: [auditEvent(registry, origin, "key_revoked", { keyId })],
  }));
  return DONE;
}

/** The end of another issuer's family lasts 400 days from when it was said last, to a day. */
const PROLONGED_EVERY_SECONDS = 86_400;

/** Ends every key of a family, those too that a racing refresh may still mint. Doing it again changes nothing. */
export async function revokeFamily(registry: Registry, family: string, origin: CallOrigin): Promise<Done> {
  const ending = { kind: "family", family, until: retainUntil(registry, isLegacyId(family)) } as const;
  const written = await registry.store.findEnd(ending);
  // No key of a family of ours is minted once it has ended, so its end need not last longer than it does. Other issuers go on.
  const least = isForeignId(family) ? ending.until - PROLONGED_EVERY_SECONDS : nowSeconds(registry);
  if (written?.end.kind === "family" && written.end.until > least) return endedBefore(registry, written.end);
  await commitAnyhow(registry, () => ({
    put: [],
    end: ending,
    audit: [auditEvent(registry, origin, "family_revoked", { family })],
  }));
  return DONE;
}

/** When no token that is concerned can live any more. V1 keys may live for ever; so may cut-offs, which are few. */
function retainUntil(registry: Registry, legacy: boolean): number {
  return legacy ? NEVER : nowSeconds(registry) + MAX_KEY_LIFE_SECONDS;
}

/** Ends every key that the owner has now; keys that it gets later are good. A family without an owner is its own. */
export function revokeOwner(registry: Registry, owner: string, origin: CallOrigin): Promise<Done> {
  const audit = [auditEvent(registry, origin, "owner_revoked", { owner })];
  return cutOff(registry, { scope: "owner", subject: owner, until: NEVER }, "now", audit);
}

/**
 * Ends what was issued before a moment (NumericDate), or all that was issued so far. `iat` is in whole seconds, and a key may
 * be dated a little ahead: the store says which moment lies beyond all of them, and later keys are dated behind it.
 */
function cutOff(
  registry: Registry,
  what: Omit<CutOff, "before">,
  moment: number | "now",
  audit: readonly AuditEvent[],
): Promise<Done> {
  let least = 0;
  return retryOnConflict<Done>(async () => {
    const now = nowSeconds(registry);
    const beyondIssued = moment === "now" || moment >= now - DECIDED_WITHIN_SECONDS;
    const before = moment === "now" ? Math.max(now + 1, least) : Math.max(moment, least);
    const ending = { kind: "cutoff", ...what, before } as const;
    const written = await registry.store.findEnd(ending);
    if (
      written?.end.kind === "cutoff" &&
      (beyondIssued ? written.isBeyondIssued : written.end.before >= before)
    )
      return endedBefore(registry, written.end);
    const outcome = await commit(registry, {
      put: [],
      end: ending,
      ...(beyondIssued && { requires: { beyondIssued } }),
      audit,
    });
    if (outcome.kind === "early") least = outcome.before;
    return outcome.kind === "committed" ? DONE : "conflict";
  });
}

/** The store has an end that suffices, so nothing is written. This instance's Checks see it at once all the same. */
async function endedBefore(registry: Registry, written: KeyEnd): Promise<Done> {
  registry.view.apply([written]);
  await ensureDurable(registry);
  return DONE_BEFORE;
}

/** Whose keys an incident concerns; neither: everybody's. */
export interface Incident {
  readonly role?: string;
  readonly owner?: string;
}

/**
 * The incident switch: ends every key that was issued before a moment (NumericDate, at most now). Later ones are good. A
 * moment of the last seconds is now: who says so means every key that there is, whichever clock dated it.
 */
export function revokeIssuedBefore(
  registry: Registry,
  before: number,
  { role, owner }: Incident,
  origin: CallOrigin,
): Promise<Done> {
  const about = role === undefined ? (owner === undefined ? {} : { owner }) : { role };
  const scope = role === undefined ? (owner === undefined ? "all" : "owner") : "role";
  const subject = role ?? owner ?? "";
  const audit = [auditEvent(registry, origin, "keys_cut_off", about)];
  return cutOff(registry, { scope, subject, until: NEVER }, before, audit);
}
