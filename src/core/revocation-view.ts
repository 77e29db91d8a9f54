import type { KeyRecord } from "./key-record.ts";
import type { Principal } from "./principal.ts";

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

/** What ends keys, in memory: a Check reads no record. */
export interface RevocationView {
  /** Takes in what has happened, in any order and any number of times. */
  apply(revocations: Iterable<Revocation>): void;
  /** Why a key is refused; undefined while it stands. */
  ended(principal: Principal, nowMs: number): Ended | undefined;
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
  const keys = new Map<string, KeyStanding>();
  const families = new Map<string, FamilyEnd>();
  const cutOffs = new Map<string, CutOff>();

  const applyOne = (revocation: Revocation): void => {
    if (revocation.kind === "key") {
      const known = keys.get(revocation.keyId);
      if (known === undefined || known.version < revocation.version) keys.set(revocation.keyId, revocation);
    } else if (revocation.kind === "family") {
      const known = families.get(revocation.family);
      if (known === undefined || known.until < revocation.until) families.set(revocation.family, revocation);
    } else {
      const id = cutOffId(revocation.scope, revocation.subject);
      const known = cutOffs.get(id);
      if (known === undefined || known.before < revocation.before) cutOffs.set(id, revocation);
    }
  };

  const cut = (id: string, issuedAt: number): boolean => issuedAt < (cutOffs.get(id)?.before ?? 0);

  return {
    apply(revocations) {
      for (const revocation of revocations) applyOne(revocation);
    },
    ended(principal, nowMs) {
      const standing = keys.get(principal.keyId);
      if (standing?.revoked || families.has(principal.family)) return "key_revoked";
      if (cutOffs.size > 0) {
        const { issuedAt, role, owner } = principal;
        if (cut(cutOffId("all", ""), issuedAt) || cut(cutOffId("role", role), issuedAt)) return "key_revoked";
        if (owner !== undefined && cut(cutOffId("owner", owner), issuedAt)) return "key_revoked";
      }
      if (standing?.disabled) return "key_disabled";
      return standing?.notAfter !== undefined && nowMs >= standing.notAfter * 1000
        ? "key_superseded"
        : undefined;
    },
    sweep(nowMs) {
      const nowSeconds = nowMs / 1000;
      for (const [keyId, standing] of keys) if (standing.expiresAt <= nowSeconds) keys.delete(keyId);
      for (const [family, end] of families) if (end.until <= nowSeconds) families.delete(family);
      for (const [id, cutOff] of cutOffs) if (cutOff.until <= nowSeconds) cutOffs.delete(id);
    },
    size: () => keys.size + families.size + cutOffs.size,
  };
}

function cutOffId(scope: CutOff["scope"], subject: string): string {
  return `${scope}:${subject}`;
}
