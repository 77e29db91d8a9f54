import type { KeyBinding } from "./key-binding.ts";

/** What a store keeps of one key. Never the key itself: the token is minted from this anew. All times are NumericDates. */
export interface KeyRecord extends KeyBinding {
  readonly keyId: string;
  /** The chain of refreshes from one registration: `sub` and `fam` of the token. */
  readonly family: string;
  /** When the family's first key was issued: `max_family_age` counts from here, but of a V1 key from its first exchange. */
  readonly familyStartedAt: number;
  /** Set by operators only; absent: the family owns itself. */
  readonly owner?: string;
  readonly role: string;
  /** What was granted; never widened by a refresh. */
  readonly scopes: readonly string[];
  /** Self-asserted; 1 to 128 characters. */
  readonly name: string;
  /** Self-asserted, a JSON object of at most 512 bytes. */
  readonly metadata?: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly refreshAfter: number;
  /** Whether it was registered without an operator: such keys are limited in number. */
  readonly selfService: boolean;
  /** The life that was asked for, where it is shorter than the role's: a successor gets no more. Seconds. */
  readonly ttlSeconds?: number;
  readonly disabled: boolean;
  readonly revokedAt?: number;
  readonly successor?: Succession;
  /** An opaque (V1) key: found by its hash, for it says nothing itself. */
  readonly legacy?: LegacyPart;
  /** 1 when made; one more with each change. A write states which version it replaces. */
  readonly version: number;
  /**
   * Of a changed record: milliseconds of the store's clock, and more than at each change before. It orders what instances
   * tell of the key, also where the store has lost its last writes and counts versions anew.
   */
  readonly changedAt?: number;
}

/** What a record of a V1 key has beside. */
export interface LegacyPart {
  /** Keyed digest of the key; never the key, nor a hash that others could make. */
  readonly hash: string;
  /** The same of its SHA-256, which an import may name instead: so that it is known as this key. */
  readonly alias?: string;
  /** When it was first exchanged for a V2 key, and for which. It stays good beside it: others may share it. */
  readonly migratedAt?: number;
  readonly successorId?: string;
}

/** The end of a key that has none: 9999-12-31T23:59:59Z. */
export const NEVER = 253_402_300_799;

/** That a key has been refreshed or rotated, and until when it stays good beside its successor. */
export interface Succession {
  readonly keyId: string;
  readonly at: number;
  /** The old key is refused from here on; at most its own `expiresAt`. */
  readonly notAfter: number;
  /** Digest of the `Idempotency-Key` that the refresh came with: the same one gets the same successor again. */
  readonly idempotency?: string;
}

export type KeyStatus = "active" | "superseded" | "disabled" | "revoked" | "expired";

/** The claims of a key's token: design of the wire, not of the store. */
export interface KeyClaims {
  readonly iss: string;
  readonly aud: string;
  readonly sub: string;
  readonly name: string;
  readonly own?: string;
  readonly jti: string;
  readonly fam: string;
  readonly role: string;
  readonly scope: string;
  readonly iat: number;
  readonly nbf: number;
  readonly exp: number;
  readonly refresh_after: number;
  readonly nets?: readonly string[];
  readonly cnf?: { readonly "x5t#S256": string };
}

/** The same record always gives the same claims: a lost reply can be given again without keeping the key. */
export function claimsOf(record: KeyRecord, issuer: string, audience: string): KeyClaims {
  return {
    iss: issuer,
    aud: audience,
    sub: record.family,
    name: record.name,
    ...(record.owner === undefined ? {} : { own: record.owner }),
    jti: record.keyId,
    fam: record.family,
    role: record.role,
    scope: record.scopes.join(" "),
    iat: record.issuedAt,
    nbf: record.issuedAt,
    exp: record.expiresAt,
    refresh_after: record.refreshAfter,
    ...(record.nets === undefined ? {} : { nets: record.nets }),
    ...(record.certificate === undefined ? {} : { cnf: { "x5t#S256": record.certificate } }),
  };
}

/** What the record alone says; a revoked family, or keys issued before a cut-off, are not in it. */
export function statusOf(record: KeyRecord, nowSeconds: number): KeyStatus {
  if (record.revokedAt !== undefined) return "revoked";
  if (nowSeconds >= record.expiresAt) return "expired";
  if (record.disabled) return "disabled";
  return record.successor === undefined ? "active" : "superseded";
}

const FAMILY = /^fam_[A-Za-z0-9]{16,32}$/;

/** Whether a text has the form of a family of ours: it may stand where an owner is named, since a family owns itself. */
export function isFamilyId(text: string): boolean {
  return FAMILY.test(text);
}

const LEGACY = /_v1[A-Za-z0-9]{22}$/;

/** Ids and families of V1 keys show it: longer than those of V2 keys by two letters. */
export function isLegacyId(idOrFamily: string): boolean {
  return LEGACY.test(idOrFamily);
}

/**
 * Whether a key counts against `guards.self_service_keys`, as far as its record says: registered without an operator, not revoked,
 * not superseded. A disabled one may come back. A V1 key counts for what it was exchanged for, too.
 */
export function countsAsSelfService({
  selfService,
  revokedAt,
  successor,
  legacy,
  family,
}: KeyRecord): boolean {
  if (!selfService || revokedAt !== undefined || successor !== undefined) return false;
  return legacy !== undefined || !isLegacyId(family);
}

// Key ids stand in headers, URLs and Redis names; the pattern leaves no room for a separator or a glob.
const KEY_ID = /^[A-Za-z][A-Za-z0-9_-]{0,63}_\d{1,12}_[A-Za-z0-9]{16,32}$/;

export function isKeyId(text: string): boolean {
  return KEY_ID.test(text);
}

/** The role that a key id names: what stands before `_<unix seconds>_<random>`; it may hold a `_` itself. */
export function roleOfKeyId(keyId: string): string {
  return keyId.slice(0, keyId.lastIndexOf("_", keyId.lastIndexOf("_") - 1));
}
