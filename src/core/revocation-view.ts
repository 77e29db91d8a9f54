import type { KeyRecord } from "./key-record.ts";
import { NEVER } from "./key-record.ts";
import type { Principal } from "./principal.ts";
import { createShelf } from "./revocation-shelf.ts";

/** Why a key with a good signature is refused all the same. */
export type Ended = "key_revoked" | "key_disabled" | "key_superseded";

/** What ends or limits one key before its own end. Nothing set: the key is good again. */
export interface KeyStanding {
  readonly keyId: string;
  /** The record's version: an older word never beats a newer one. */
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

export type Revocation =
  | ({ readonly kind: "key" } & KeyStanding)
  | ({ readonly kind: "family" } & FamilyEnd)
  | ({ readonly kind: "cutoff" } & CutOff);

/** What ends keys, in memory: a Check reads no record. Positions are sequence numbers of the feed. */
export interface RevocationView {
  /** Takes in what has happened, in any order and any number of times, as heard at this position. */
  apply(revocations: Iterable<Revocation>, position?: number): void;
  /** Why a key is refused; undefined while it stands. */
  ended(principal: Principal, nowMs: number): Ended | undefined;
  /**
   * Takes in a whole snapshot that was begun at this position: what it does not hold and was heard until then is no
   * longer so. Only for a store that has lost nothing; after a loss, apply what it has instead.
   */
  replace(snapshot: AsyncIterable<readonly Revocation[]>, position: number): Promise<void>;
  /** All that is known, to be written back to a store that has lost it. */
  entries(): Iterable<Revocation>;
  /** From now on everything counts as heard at this position: the store counts anew. */
  restamp(position: number): void;
  /** Drops a key of which the store knows something newer than its end. */
  drop(keyId: string, version: number): void;
  /** Forgets what no living token can need. */
  sweep(nowMs: number): void;
  /** Entries held. */
  size(): number;
}

/** What other instances must hear of a record: everything that a token does not say itself. */
export function standingOf(record: KeyRecord): Revocation {
  return {
    kind: "key",
    keyId: record.keyId,
    version: record.version,
    expiresAt: record.expiresAt,
    revoked: record.revokedAt !== undefined,
    disabled: record.disabled,
    ...(record.successor === undefined ? {} : { notAfter: record.successor.notAfter }),
  };
}

export function createRevocationView(): RevocationView {
  const keys = createShelf(PACKED_KEYS);
  const families = createShelf(PACKED_FAMILIES);
  const cutOffs = createShelf(PACKED_CUT_OFFS);
  const shelves = [keys, families, cutOffs] as const;

  const applyOne = (revocation: Revocation, position: number): string => {
    const id = idOf(revocation);
    if (revocation.kind === "key") {
      const newer = revocation.version > (keys.get(id)?.version ?? 0);
      keys.put(id, revocation, position);
      // A V1 key lives for ever: that nothing is wrong with it need not be known as long.
      if (newer && revocation.expiresAt === NEVER && isClean(revocation)) keys.delete(id);
    } else if (revocation.kind === "family") families.put(id, revocation, position);
    else cutOffs.put(id, revocation, position);
    return id;
  };
  return {
    apply(revocations, position = 0) {
      for (const revocation of revocations) applyOne(revocation, position);
    },
    ended(principal, nowMs) {
      const standing = keys.get(principal.keyId);
      const flags = standing?.flags ?? 0;
      if (flags & REVOKED || families.get(principal.family) !== undefined) return "key_revoked";
      if (cutOffs.size() > 0 && isCutOff(principal, cutOffs.get)) return "key_revoked";
      if (flags & DISABLED) return "key_disabled";
      return standing?.notAfter && nowMs >= standing.notAfter * 1000 ? "key_superseded" : undefined;
    },
    async replace(snapshot, position) {
      const there = new Set<string>();
      for await (const portion of snapshot) {
        for (const revocation of portion) there.add(applyOne(revocation, position));
      }
      for (const shelf of shelves) shelf.dropWhere((held, id) => held.position <= position && !there.has(id));
    },
    *entries() {
      for (const shelf of shelves) yield* shelf.entries();
    },
    restamp: (position) => shelves.forEach((shelf) => void shelf.restamp(position)),
    drop(keyId, version) {
      if ((keys.get(keyId)?.version ?? version + 1) <= version) keys.delete(keyId);
    },
    sweep(nowMs) {
      const nowSeconds = nowMs / 1000;
      keys.dropWhere(({ expiresAt }) => expiresAt <= nowSeconds);
      families.dropWhere(({ until }) => until <= nowSeconds);
      cutOffs.dropWhere(({ until }) => until <= nowSeconds);
    },
    size: () => shelves.reduce((sum, shelf) => sum + shelf.size(), 0),
  };
}

function isClean({ revoked, disabled, notAfter }: KeyStanding): boolean {
  return !revoked && !disabled && notAfter === undefined;
}

function isCutOff(
  { issuedAt, role, owner }: Principal,
  cutOffOf: (id: string) => { readonly before: number } | undefined,
): boolean {
  const ids = ["all:", `role:${role}`, ...(owner === undefined ? [] : [`owner:${owner}`])];
  return ids.some((id) => issuedAt < (cutOffOf(id)?.before ?? 0));
}

const REVOKED = 1;
const DISABLED = 2;

/** What is kept of each: five numbers a key, for there may be a hundred thousand of them. */
const PACKED_KEYS = {
  pack: (entry: KeyStanding, position: number): PackedKey => ({
    version: entry.version,
    expiresAt: entry.expiresAt,
    flags: (entry.revoked ? REVOKED : 0) + (entry.disabled ? DISABLED : 0),
    notAfter: entry.notAfter ?? 0,
    position,
  }),
  unpack: (keyId: string, packed: PackedKey): Revocation => ({
    kind: "key",
    keyId,
    version: packed.version,
    expiresAt: packed.expiresAt,
    revoked: (packed.flags & REVOKED) !== 0,
    disabled: (packed.flags & DISABLED) !== 0,
    ...(packed.notAfter === 0 ? {} : { notAfter: packed.notAfter }),
  }),
  stronger: (a: PackedKey, b: PackedKey) => a.version > b.version,
};

interface PackedKey {
  readonly version: number;
  readonly expiresAt: number;
  readonly flags: number;
  /** 0: never. */
  readonly notAfter: number;
  position: number;
}

interface PackedFamily {
  readonly until: number;
  position: number;
}

const PACKED_FAMILIES = {
  pack: ({ until }: FamilyEnd, position: number): PackedFamily => ({ until, position }),
  unpack: (family: string, { until }: PackedFamily): Revocation => ({ kind: "family", family, until }),
  stronger: (a: PackedFamily, b: PackedFamily) => a.until > b.until,
};

interface PackedCutOff extends CutOff {
  position: number;
}

const PACKED_CUT_OFFS = {
  pack: (cutOff: CutOff, position: number): PackedCutOff => ({ ...cutOff, position }),
  unpack: (_: string, { scope, subject, before, until }: PackedCutOff): Revocation => {
    return { kind: "cutoff", scope, subject, before, until };
  },
  stronger: (a: PackedCutOff, b: PackedCutOff) => a.before > b.before,
};

/** Unique among all kinds. */
function idOf(revocation: Revocation): string {
  switch (revocation.kind) {
    case "key":
      return revocation.keyId;
    case "family":
      return revocation.family;
    case "cutoff":
      return `${revocation.scope}:${revocation.subject}`;
  }
}
