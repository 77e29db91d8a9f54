import type { Principal } from "../decision/principal.ts";
import type { KeyRecord } from "../keys/key-record.ts";

/** Why a verified key is denied. */
export type EndReason = "key_revoked" | "key_disabled" | "key_superseded" | "key_expired";

/** What ends or limits one key before its expiry. With nothing set the key is valid again. */
export interface KeyRestriction {
  readonly keyId: string;
  /** The record's `changedAt`, or its version. An older restriction never overrides a newer one. */
  readonly version: number;
  /** NumericDate after which the restriction may be forgotten. */
  readonly expiresAt: number;
  readonly revoked: boolean;
  readonly disabled: boolean;
  /** NumericDate from which the key is superseded. */
  readonly notAfter?: number;
}

/** The end of a whole family. */
export interface FamilyEnd {
  readonly family: string;
  /** NumericDate after which no token of the family is valid. */
  readonly until: number;
}

/** The end of all keys that were issued before a time: of everyone, of a role, or of an owner. */
export interface CutOff {
  readonly scope: "all" | "role" | "owner";
  /** The role or owner; empty for `all`. */
  readonly subject: string;
  /** NumericDate: keys with an earlier `iat` are revoked. */
  readonly before: number;
  /** NumericDate after which no token that was issued before is valid. */
  readonly until: number;
}

/** Revocations that expired before a time may have been forgotten. */
export interface Forgotten {
  /** NumericDate: keys that expired by then are denied, even if a clock steps back. */
  readonly before: number;
}

/** What ends keys. */
export type Ending =
  | ({ readonly kind: "key" } & KeyRestriction)
  | ({ readonly kind: "family" } & FamilyEnd)
  | ({ readonly kind: "cutoff" } & CutOff);

/** Everything that a revocation view must know. */
export type Revocation = Ending | ({ readonly kind: "forgotten" } & Forgotten);

/** The keys that a cut-off may concern. A family without an owner owns itself. */
export type CutOffSubject = Pick<Principal, "role" | "owner"> & Partial<Pick<Principal, "family">>;

/** What other instances must know of a record: everything that its token does not contain. */
export function restrictionOf(record: KeyRecord): { readonly kind: "key" } & KeyRestriction {
  return {
    kind: "key",
    keyId: record.keyId,
    version: record.changedAt ?? record.version,
    expiresAt: record.expiresAt,
    revoked: record.revokedAt !== undefined,
    disabled: record.disabled,
    // An overlap that lasts until the key's expiry restricts nothing.
    ...(record.successor === undefined || record.successor.notAfter >= record.expiresAt
      ? {}
      : { notAfter: record.successor.notAfter }),
  };
}

/** Whether the restriction ends or limits the key. */
export function endsKey({ revoked, disabled, notAfter }: KeyRestriction): boolean {
  return revoked || disabled || notAfter !== undefined;
}
