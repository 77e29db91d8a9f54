import type { AuditEvent, AuditEventName } from "../audit/audit-event.ts";
import type { OncePer } from "../cache/once-per.ts";
import type { Migration } from "../legacy/migration.ts";
import type { Policy } from "../policy/policy.ts";
import type { FeedEntry } from "../revocation/feed-entry.ts";
import type { CutOffSubject } from "../revocation/revocation.ts";
import { endsKey, restrictionOf } from "../revocation/revocation.ts";
import type { RevocationView } from "../revocation/revocation-view.ts";
import type { RefreshDenial } from "./key-lifecycle.ts";
import type { KeyRecord } from "./key-record.ts";
import type { Caller } from "./operator.ts";
import { callerName } from "./operator.ts";
import type { CommitOutcome, KeyChange, KeySigner, KeyStore } from "./ports.ts";

/** What every operation of the registry works with. */
export interface Registry {
  readonly store: KeyStore;
  readonly migration: Migration;
  readonly legacy: LegacyForm;
  /** Hears on this instance what a commit tells the others. */
  readonly onFeedEntry: (entry: FeedEntry) => void;
  /** Of this instance: a change shows in its Checks at once. */
  readonly view: RevocationView;
  readonly signer: KeySigner;
  readonly policy: () => Policy;
  readonly nowMs: () => number;
  /** The store's clock, by which changes are dated, and what hears what it says. Milliseconds. */
  readonly storeClock: { storeNowMs(): number; applyStoreTime(storeNowMs: number): void };
  /** 22 letters and digits: at least 128 random bits. */
  readonly newRandom: () => string;
  /** SHA-256 in hex, for what must be compared but not kept. */
  readonly digest: (text: string) => string;
  /** Second refreshes that this instance has audited of late. */
  readonly auditedReuse: OncePer;
}

/** What a V1 key looks like, and what is kept of one. */
export interface LegacyForm {
  newKey(): string;
  /** False for a key that pretends to be ours and is none, and for a JWT. */
  isPlausible(key: string): boolean;
  /** How the key is kept. */
  storedForm(key: string): { readonly hash: string; readonly alias: string };
  /** All hashes under which it may be kept, those of {@link storedForm} first. */
  hashes(key: string): readonly string[];
  /** The hash for a key of which only its SHA-256 (hex) is known. */
  hashOfDigest(sha256Hex: string): string;
}

/** Where a call came from, for the audit. */
export interface CallOrigin {
  readonly caller: Caller;
  readonly address?: string;
  readonly requestId?: string;
}

/** Why the registry does not do what it was asked. */
export type RegistryDenial =
  | RefreshDenial
  | "role_unknown"
  | "scope_unknown"
  | "ttl_too_long"
  | "operator_required"
  | "grant_refused"
  | "idempotency_key_reused"
  | "idempotency_key_weak"
  | "too_many_keys"
  | "legacy_removed"
  | "key_unknown";

export interface DeniedOperation {
  readonly kind: "refused";
  readonly reason: RegistryDenial;
  /** With `refresh_too_early`: NumericDate from which it may be done. */
  readonly refreshAfter?: number;
}

/** A key that the caller gets to see, this once. */
export interface Issued {
  readonly kind: "issued";
  readonly record: KeyRecord;
  readonly token: string;
  /** Whether it is an answer given before. */
  readonly replayed: boolean;
}

export function refused(reason: RegistryDenial): DeniedOperation {
  return { kind: "refused", reason };
}

export async function issued(registry: Registry, record: KeyRecord, replayed: boolean): Promise<Issued> {
  return { kind: "issued", record, token: await registry.signer.sign(record), replayed };
}

/** A change as an operation decides it; when that was is added here. */
export type Decided = Omit<KeyChange, "nowSeconds">;

/**
 * Writes a change and shows it to this instance's Checks. Where the store's clock says another time, this instance knows it
 * from then on, and the outcome is a conflict: decide again.
 */
export async function commit(
  registry: Registry,
  decided: Decided,
): Promise<Exclude<CommitOutcome, { kind: "clock" }>> {
  const change = { ...decided, put: decided.put.map((record) => stamped(registry, record)) };
  const changed = change.put.filter((record) => record.version > 1);
  const tell = [...(change.feedEntries ?? []), ...ofLegacyKeys(changed)];
  const outcome = await registry.store.commit({
    ...change,
    feedEntries: tell,
    nowSeconds: nowSeconds(registry),
  });
  if (outcome.kind === "clock") {
    registry.storeClock.applyStoreTime(outcome.nowMs);
    return { kind: "conflict" };
  }
  if (outcome.kind === "committed") {
    // That nothing ends a key is news only where something did.
    const standings = changed
      .map(restrictionOf)
      .filter((standing) => endsKey(standing) || registry.view.standing(standing.keyId) !== undefined);
    registry.view.apply(change.end === undefined ? standings : [...standings, change.end]);
    if (change.migration !== undefined) registry.migration.applyState(change.migration.to);
    for (const entry of tell) registry.onFeedEntry(entry);
    if (outcome.durable === false) throw new NotReplicated();
  }
  return outcome;
}

/** Beyond all that was said of the key before, as far as it is known here, whatever the store has lost since. */
function stamped({ view, storeClock }: Registry, record: KeyRecord): KeyRecord {
  if (record.version === 1) return record;
  const said = Math.max(record.changedAt ?? record.version - 1, view.standing(record.keyId)?.version ?? 0);
  return { ...record, changedAt: Math.max(said + 1, Math.floor(storeClock.storeNowMs())) };
}

/** Writes what nothing can stand against but the clock. */
export function commitAnyhow(registry: Registry, decide: () => Decided): Promise<void> {
  return retryOnConflict<void>(async () => {
    const outcome = await commit(registry, decide());
    return outcome.kind === "committed" ? undefined : "conflict";
  });
}

/** A V1 key says nothing itself: instances keep what its record said, and hear that it says something else. */
function ofLegacyKeys(changed: readonly KeyRecord[]): readonly FeedEntry[] {
  const keyIds = changed.filter(({ legacy }) => legacy !== undefined).map(({ keyId }) => keyId);
  return keyIds.length === 0 ? [] : [{ kind: "legacy", keyIds }];
}

/** The change is made, and holds here; whether it would survive a failover is not sure. Asking again is safe. */
export class NotReplicated extends Error {
  override readonly name = "NotReplicated";

  constructor() {
    super("too few replicas have the change");
  }
}

/**
 * Nothing is to be changed, so nothing is written; but what was changed before must be as durable as a change that is
 * acknowledged. Throws {@link NotReplicated} otherwise.
 */
export async function ensureDurable(registry: Registry): Promise<void> {
  if (!(await registry.store.confirm())) throw new NotReplicated();
}

/** Repeats read, decide and write until nobody else has written in between. */
export async function retryOnConflict<T>(attempt: () => Promise<T | "conflict">): Promise<T> {
  for (let tries = 0; tries < 8; tries++) {
    const result = await attempt();
    if (result !== "conflict") return result;
  }
  throw new Error("the registry changed under eight attempts in a row");
}

/** An audit line about a key, or about what has no key: a family or an owner. */
export function auditEvent(
  registry: Registry,
  origin: CallOrigin,
  event: AuditEventName,
  about: Partial<Pick<KeyRecord, "keyId" | "family" | "owner" | "role">>,
  refusal?: RegistryDenial,
): AuditEvent {
  const { keyId, family, owner, role } = about;
  return {
    eventId: registry.newRandom(),
    atMs: registry.nowMs(),
    event,
    outcome: refusal === undefined ? "done" : "refused",
    ...(refusal === undefined ? {} : { reason: refusal }),
    actor: callerName(origin.caller),
    ...(origin.address === undefined ? {} : { address: origin.address }),
    ...(origin.requestId === undefined ? {} : { requestId: origin.requestId }),
    ...(keyId === undefined ? {} : { keyId }),
    ...(family === undefined ? {} : { family }),
    ...(owner === undefined ? {} : { owner }),
    ...(role === undefined ? {} : { role }),
  };
}

export function newKeyId(registry: Registry, role: string, issuedAt = nowSeconds(registry)): string {
  return `${role}_${issuedAt}_${registry.newRandom()}`;
}

/** NumericDate, by the store's clock: changes are decided and keys are dated by it. */
export function nowSeconds(registry: Registry): number {
  return Math.floor(registry.storeClock.storeNowMs() / 1000);
}

/**
 * The date of a new key: now, or behind the cut-offs that are known here, since a store that has lost one does not ask for it.
 * @param earliest what the store has asked for. Throws as {@link issueTimeAfter}
 */
export function issueTime(registry: Registry, of: CutOffSubject, earliest: number): number {
  const now = nowSeconds(registry);
  const known = Math.max(earliest, registry.view.cutOffBefore(of));
  return known > now ? issueTimeAfter(known, now) : now;
}

/** Whether a new key may have this date: beyond it, it would be refused at first. */
export function mayBeDated(issuedAt: number, nowSeconds: number): boolean {
  return issuedAt - nowSeconds <= MAX_ISSUE_AHEAD_SECONDS;
}

/** The date that a cut-off leaves for a new key. Throws when it lies too far ahead. */
export function issueTimeAfter(cutOff: number | undefined, nowSeconds: number): number {
  if (cutOff === undefined || !mayBeDated(cutOff, nowSeconds))
    throw new Error("keys of this role or owner are cut off further ahead than a new key may be dated");
  return cutOff;
}

/** Verifiers allow 5 s, and the time of a decision may differ from the store's by 2 s. */
const MAX_ISSUE_AHEAD_SECONDS = 3;
