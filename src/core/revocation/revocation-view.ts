import type { Principal } from "../decision/principal.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import type { PackedKey, PackedKeys } from "./packed-key-map.ts";
import { createPackedKeys } from "./packed-key-map.ts";

/** Why a key with a good signature is refused all the same. */
export type EndReason = "key_revoked" | "key_disabled" | "key_superseded" | "key_expired";

/** What ends or limits one key before its own end. Nothing set: the key is good again. */
export interface KeyRestriction {
  readonly keyId: string;
  /** When it was said: the record's `changedAt`, or its version. An older word never beats a newer one. */
  readonly version: number;
  /** NumericDate after which nothing of this need be kept. */
  readonly expiresAt: number;
  readonly revoked: boolean;
  readonly disabled: boolean;
  /** NumericDate from which the key is superseded. */
  readonly notAfter?: number;
}

/** That a whole family has ended. */
export interface FamilyEnd {
  readonly family: string;
  /** NumericDate after which no token of the family can live. */
  readonly until: number;
}

/** That keys issued before a moment have ended: all, those of a role, or those of an owner. */
export interface CutOff {
  readonly scope: "all" | "role" | "owner";
  /** The role or owner; empty for `all`. */
  readonly subject: string;
  /** NumericDate: keys with an `iat` below it are revoked. */
  readonly before: number;
  /** NumericDate after which no token issued before can live. */
  readonly until: number;
}

/** That what ran out before a moment may have been forgotten. */
export interface Forgotten {
  /** NumericDate: keys that expired by then are refused, whatever a clock says later. */
  readonly before: number;
}

/** What ends keys. */
export type Ending =
  | ({ readonly kind: "key" } & KeyRestriction)
  | ({ readonly kind: "family" } & FamilyEnd)
  | ({ readonly kind: "cutoff" } & CutOff);

/** Resolves when others have had their turn: awaited between two steps of what takes long. */
export type NextTurn = () => Promise<void>;

/** Entries that are looked at in one step: less than a millisecond. */
const STEP = 1000;

/** What a view must know. */
export type Revocation = Ending | ({ readonly kind: "forgotten" } & Forgotten);

/** Whose keys a cut-off may concern. A family without an owner is its own. */
export type CutOffSubject = Pick<Principal, "role" | "owner"> & Partial<Pick<Principal, "family">>;

/** What ends keys, in memory: a Check reads no record. */
export interface RevocationView {
  /**
   * Takes in what has happened, in any order and any number of times. Words about one key are joined: a revocation and
   * the end of an overlap stay for good, and whether it is disabled goes by the newest word, on a tie by the stricter.
   */
  apply(revocations: Iterable<Revocation>): void;
  /** Why a key is refused; undefined while it stands. */
  endReason(principal: Principal, nowMs: number): EndReason | undefined;
  /** Whether taking this in would change nothing. */
  includes(revocation: Revocation): boolean;
  /** All that is known, to be written back to a store that has lost it. The view may change while it is read. */
  entries(): Iterable<Ending>;
  /** NumericDate: keys of this role and owner that are dated before it are refused. 0 where there is no cut-off. */
  cutOffBefore(of: CutOffSubject): number;
  /** What is known of one key; that it is good again is known until its `exp` too, so that no older word counts again. */
  standing(keyId: string): KeyRestriction | undefined;
  /**
   * Forgets what ran out before that time (milliseconds): it must lie before every clock's. Keys that expired by then stay
   * refused. Goes through all in steps.
   */
  sweep(beforeMs: number, nextTurn: NextTurn): Promise<void>;
  /** Entries held. */
  size(): number;
}

/** What other instances must hear of a record: everything that a token does not say itself. */
export function restrictionOf(record: KeyRecord): { readonly kind: "key" } & KeyRestriction {
  return {
    kind: "key",
    keyId: record.keyId,
    version: record.changedAt ?? record.version,
    expiresAt: record.expiresAt,
    revoked: record.revokedAt !== undefined,
    disabled: record.disabled,
    // An overlap that lasts until the key's own end limits nothing.
    ...(record.successor === undefined || record.successor.notAfter >= record.expiresAt
      ? {}
      : { notAfter: record.successor.notAfter }),
  };
}

/** Whether it ends or limits the key; else the key is good. */
export function endsKey({ revoked, disabled, notAfter }: KeyRestriction): boolean {
  return revoked || disabled || notAfter !== undefined;
}

export function createRevocationView(): RevocationView {
  const keys = createPackedKeys();
  const families = new Map<string, number>();
  const cutOffs = new Map<string, CutOff>();
  let forgotten = 0;
  return {
    apply(revocations) {
      for (const revocation of revocations) {
        if (revocation.kind === "key") applyKey(keys, revocation);
        else if (revocation.kind === "forgotten") forgotten = Math.max(forgotten, revocation.before);
        else if (revocation.kind === "family")
          families.set(revocation.family, Math.max(families.get(revocation.family) ?? 0, revocation.until));
        else if (before(cutOffs, revocation) < revocation.before)
          cutOffs.set(cutOffId(revocation), revocation);
      }
    },
    endReason: (principal, nowMs) => endedBy({ keys, families, cutOffs, forgotten }, principal, nowMs),
    includes(revocation) {
      if (revocation.kind === "forgotten") return forgotten >= revocation.before;
      if (revocation.kind === "key") {
        const known = keys.get(revocation.keyId);
        return known !== undefined && samePacked(known, merge(known, pack(revocation)));
      }
      return revocation.kind === "family"
        ? (families.get(revocation.family) ?? 0) >= revocation.until
        : before(cutOffs, revocation) >= revocation.before;
    },
    *entries() {
      for (const [keyId, packed] of keys.entries()) yield unpack(keyId, packed);
      for (const [family, until] of families) yield { kind: "family", family, until };
      for (const cutOff of cutOffs.values()) yield { ...cutOff, kind: "cutoff" };
    },
    cutOffBefore: (of) => cutOffBefore(of, cutOffs),
    standing(keyId) {
      const packed = keys.get(keyId);
      return packed && unpack(keyId, packed);
    },
    async sweep(beforeMs, nextTurn) {
      const before = Math.floor(beforeMs / 1000);
      forgotten = Math.max(forgotten, before);
      await inSteps(keys.entries(), nextTurn, ([keyId, { expiresAt }]) => {
        if (expiresAt <= before) keys.delete(keyId);
      });
      await inSteps(families, nextTurn, ([family, until]) => {
        if (until <= before) families.delete(family);
      });
      await inSteps(cutOffs, nextTurn, ([id, { until }]) => {
        if (until <= before) cutOffs.delete(id);
      });
    },
    size: () => keys.size() + families.size + cutOffs.size,
  };
}

/** Looks at each entry, and lets others have their turn after so many. */
export async function inSteps<Entry>(
  entries: Iterable<Entry>,
  nextTurn: NextTurn,
  look: (entry: Entry) => void,
): Promise<void> {
  let looked = 0;
  for (const entry of entries) {
    look(entry);
    if (++looked % STEP === 0) await nextTurn();
  }
}

interface Known {
  readonly keys: Pick<PackedKeys, "get">;
  readonly families: ReadonlyMap<string, number>;
  readonly cutOffs: ReadonlyMap<string, CutOff>;
  readonly forgotten: number;
}

function endedBy(known: Known, principal: Principal, nowMs: number): EndReason | undefined {
  const { keys, families, cutOffs, forgotten } = known;
  // Whatever a clock says now: what ended this key may be among what was forgotten.
  if (principal.expiresAt <= forgotten) return "key_expired";
  const { flags = 0, notAfter = 0 } = keys.get(principal.keyId) ?? {};
  if (flags & REVOKED || families.has(principal.family)) return "key_revoked";
  if (cutOffs.size > 0 && principal.issuedAt < cutOffBefore(principal, cutOffs)) return "key_revoked";
  if (flags & DISABLED) return "key_disabled";
  return notAfter !== 0 && nowMs >= notAfter * 1000 ? "key_superseded" : undefined;
}

function cutOffBefore({ role, owner, family }: CutOffSubject, cutOffs: Known["cutOffs"]): number {
  const ids = ["all:", `role:${role}`, `owner:${owner ?? family}`];
  return Math.max(...ids.map((id) => cutOffs.get(id)?.before ?? 0));
}

function cutOffId({ scope, subject }: CutOff): string {
  return `${scope}:${subject}`;
}

function before(cutOffs: Known["cutOffs"], cutOff: CutOff): number {
  return cutOffs.get(cutOffId(cutOff))?.before ?? 0;
}

const REVOKED = 1;
const DISABLED = 2;

function applyKey(keys: PackedKeys, standing: KeyRestriction): void {
  const known = keys.get(standing.keyId);
  keys.set(standing.keyId, known === undefined ? pack(standing) : merge(known, pack(standing)));
}

function merge(a: PackedKey, b: PackedKey): PackedKey {
  const disabled =
    a.version === b.version
      ? (a.flags | b.flags) & DISABLED
      : (a.version > b.version ? a : b).flags & DISABLED;
  return {
    version: Math.max(a.version, b.version),
    expiresAt: Math.max(a.expiresAt, b.expiresAt),
    flags: ((a.flags | b.flags) & REVOKED) | disabled,
    notAfter:
      a.notAfter === 0 || b.notAfter === 0 ? a.notAfter + b.notAfter : Math.min(a.notAfter, b.notAfter),
  };
}

function samePacked(a: PackedKey, b: PackedKey): boolean {
  return a.version === b.version && a.flags === b.flags && a.notAfter === b.notAfter;
}

function pack({ version, expiresAt, revoked, disabled, notAfter = 0 }: KeyRestriction): PackedKey {
  const flags = (revoked ? REVOKED : 0) + (disabled ? DISABLED : 0);
  return { version, expiresAt, flags, notAfter };
}

function unpack(
  keyId: string,
  { version, expiresAt, flags, notAfter }: PackedKey,
): Extract<Revocation, { kind: "key" }> {
  return {
    kind: "key",
    keyId,
    version,
    expiresAt,
    revoked: (flags & REVOKED) !== 0,
    disabled: (flags & DISABLED) !== 0,
    ...(notAfter === 0 ? {} : { notAfter }),
  };
}
