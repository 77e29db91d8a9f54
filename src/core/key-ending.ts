import type { AuditEvent } from "./audit-event.ts";
import { MAX_KEY_LIFE_SECONDS, revokeKey } from "./key-lifecycle.ts";
import { isLegacyId, NEVER } from "./key-record.ts";
import type { KeyEnd } from "./ports.ts";
import type { Principal } from "./principal.ts";
import type { CallOrigin, Refused, Registry } from "./registry.ts";
import { auditEvent, commit, confirm, nowSeconds, refused, untilDecided } from "./registry.ts";

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
): Promise<Done | Refused> {
  const record = await registry.store.load(holder.keyId);
  if (record === undefined) return refused("key_unknown");
  return revokeFamily(registry, record.family, origin);
}

/** Ends one key alone, its predecessors and successors not. */
export function revokeOne(registry: Registry, keyId: string, origin: CallOrigin): Promise<Done | Refused> {
  return untilDecided<Done | Refused>(async () => {
    const current = await registry.store.load(keyId);
    if (current === undefined) return refused("key_unknown");
    const next = revokeKey(current, nowSeconds(registry));
    if (next === current) {
      await confirm(registry);
      return DONE_BEFORE;
    }
    const audit = [auditEvent(registry, origin, "key_revoked", current)];
    const outcome = await commit(registry, { put: [next], audit });
    return outcome.kind === "committed" ? DONE : "conflict";
  });
}

/** Ends every key of a family, those too that a racing refresh may still mint. */
export function revokeFamily(registry: Registry, family: string, origin: CallOrigin): Promise<Done> {
  const until = lastOf(registry, isLegacyId(family));
  const audit = auditEvent(registry, origin, "family_revoked", { family });
  return end(registry, { kind: "family", family, until }, audit);
}

/** When no token that is concerned can live any more. V1 keys may live for ever; so may cut-offs, which are few. */
function lastOf(registry: Registry, legacy: boolean): number {
  return legacy ? NEVER : nowSeconds(registry) + MAX_KEY_LIFE_SECONDS;
}

/** Ends every key that the owner has now; keys that it gets later are good. A family without an owner is its own. */
export function revokeOwner(registry: Registry, owner: string, origin: CallOrigin): Promise<Done> {
  // `iat` is in whole seconds: the whole of this one is cut off, and keys made in the rest of it are dated after it.
  const before = nowSeconds(registry) + 1;
  const cutOff = { kind: "cutoff", scope: "owner", subject: owner, before, until: NEVER } as const;
  return end(registry, cutOff, auditEvent(registry, origin, "owner_revoked", { owner }));
}

/** Whose keys an incident concerns; neither: everybody's. */
export interface CutOffSubject {
  readonly role?: string;
  readonly owner?: string;
}

/** The incident switch: ends every key that was issued before a moment (NumericDate, at most now). Later ones are good. */
export function revokeIssuedBefore(
  registry: Registry,
  before: number,
  { role, owner }: CutOffSubject,
  origin: CallOrigin,
): Promise<Done> {
  const about = role === undefined ? (owner === undefined ? {} : { owner }) : { role };
  const scope = role === undefined ? (owner === undefined ? "all" : "owner") : "role";
  const subject = role ?? owner ?? "";
  const cutOff = { kind: "cutoff", scope, subject, before, until: NEVER } as const;
  return end(registry, cutOff, auditEvent(registry, origin, "keys_cut_off", about));
}

/** Writes an end, unless the store has one that suffices. This instance's Checks see it at once in both cases. */
async function end(registry: Registry, ending: KeyEnd, audit: AuditEvent): Promise<Done> {
  const written = await registry.store.findEnd(ending);
  if (written === undefined || !suffices(written, ending, nowSeconds(registry))) {
    await commit(registry, { put: [], end: ending, audit: [audit] });
    return DONE;
  }
  registry.view.apply([written]);
  await confirm(registry);
  return DONE_BEFORE;
}

/** No key of a family is minted once it has ended, so its end need not last longer than it does. */
function suffices(written: KeyEnd, wanted: KeyEnd, nowSeconds: number): boolean {
  if (written.kind === "family") return written.until > nowSeconds;
  return wanted.kind === "cutoff" && written.before >= wanted.before;
}
