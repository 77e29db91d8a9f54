import type { KeyBinding } from "./key-binding.ts";

/** The stored record of a key. The token is not stored: it is signed again from the record. All times are NumericDates. */
export interface KeyRecord extends KeyBinding {
  readonly keyId: string;
  /** The chain of refreshes from one registration: `sub` and `fam` of the token. */
  readonly family: string;
  /** The issue date of the family's first key. `max_family_age` counts from here, for a V1 key from its first exchange. */
  readonly familyStartedAt: number;
  /** Set by operators only. Absent: the family owns itself. */
  readonly owner?: string;
  readonly role: string;
  /** Set by operators that may assign it. Absent: the role's plan or limits apply. A refresh keeps it. */
  readonly plan?: string;
  /** The granted scopes. A refresh never widens them. */
  readonly scopes: readonly string[];
  /** Self-asserted; 1 to 128 characters. */
  readonly name: string;
  /** Self-asserted, a JSON object of at most 512 bytes. */
  readonly metadata?: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly refreshAfter: number;
  /** Whether the key was registered without an operator. The number of such keys is limited. */
  readonly selfService: boolean;
  /** The requested life in seconds, if it is shorter than the role's. Successors keep it. */
  readonly ttlSeconds?: number;
  readonly disabled: boolean;
  readonly revokedAt?: number;
  readonly successor?: Succession;
  /** Set for an opaque (V1) key, which is found by its hash because it has no claims. */
  readonly legacy?: LegacyPart;
  /** 1 for a new record, and one more with each change. A write replaces exactly the version before. */
  readonly version: number;
  /**
   * Milliseconds of the store's clock at the last change, and higher than at every earlier change. It orders the feed entries
   * of the key even if the store has lost its last writes and repeats versions.
   */
  readonly changedAt?: number;
}

/** The additional fields of a V1 key. */
export interface LegacyPart {
  /** Keyed digest of the key: neither the key nor a hash that can be computed without our secret. */
  readonly hash: string;
  /** Keyed digest of the key's SHA-256. An import can name the SHA-256 instead of the key. */
  readonly alias?: string;
  /** The first exchange for a V2 key. The V1 key stays valid, because other clients may share it. */
  readonly migratedAt?: number;
  /** The key id of the V2 key. */
  readonly successorId?: string;
}

/** The `expiresAt` of a key that never expires: 9999-12-31T23:59:59Z. */
export const NEVER = 253_402_300_799;

/** The successor of a refreshed or rotated key. */
export interface Succession {
  readonly keyId: string;
  readonly at: number;
  /** From here on the old key is denied. At most its own `expiresAt`. */
  readonly notAfter: number;
  /** Digest of the refresh's `Idempotency-Key`. A repetition with the same value returns the same successor. */
  readonly idempotency?: string;
}

export type KeyStatus = "active" | "superseded" | "disabled" | "revoked" | "expired";

/** The claims of a key's token. */
export interface KeyClaims {
  readonly iss: string;
  readonly aud: string;
  readonly sub: string;
  readonly name: string;
  readonly own?: string;
  readonly jti: string;
  readonly fam: string;
  readonly role: string;
  readonly plan?: string;
  readonly scope: string;
  readonly iat: number;
  readonly nbf: number;
  readonly exp: number;
  readonly refresh_after: number;
  readonly nets?: readonly string[];
  readonly cnf?: { readonly "x5t#S256": string };
}

/** The same record always has the same claims, so a lost reply can be repeated although the key is not stored. */
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
    ...(record.plan === undefined ? {} : { plan: record.plan }),
    scope: record.scopes.join(" "),
    iat: record.issuedAt,
    nbf: record.issuedAt,
    exp: record.expiresAt,
    refresh_after: record.refreshAfter,
    ...(record.nets === undefined ? {} : { nets: record.nets }),
    ...(record.certificate === undefined ? {} : { cnf: { "x5t#S256": record.certificate } }),
  };
}

/** The status by the record alone. It ignores ended families and cut-offs. */
export function statusOf(record: KeyRecord, nowSeconds: number): KeyStatus {
  if (record.revokedAt !== undefined) return "revoked";
  if (nowSeconds >= record.expiresAt) return "expired";
  if (record.disabled) return "disabled";
  return record.successor === undefined ? "active" : "superseded";
}

const FAMILY = /^fam_[A-Za-z0-9]{16,32}$/;

/** Whether a text has the form of our family ids. A family id is also accepted as an owner, because a family can own itself. */
export function isFamilyId(text: string): boolean {
  return FAMILY.test(text);
}

const LEGACY = /_v1[A-Za-z0-9]{22}$/;

/** Key ids and families of V1 keys have the prefix `v1` in their random part. */
export function isLegacyId(idOrFamily: string): boolean {
  return LEGACY.test(idOrFamily);
}

/**
 * Whether a key counts against `guards.self_service_keys` by its record: registered without an operator, not revoked and not
 * superseded. A disabled key counts, because it can be enabled again. A V1 key also counts for the V2 keys of its family.
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

/** How a key counts for its owner, until a time (NumericDate). */
export interface OwnerCount {
  /** `overlap`: it has a successor, and is still valid. */
  readonly as: "active" | "overlap";
  readonly until: number;
}

/** Undefined if a key does not count against `console.holders.max_keys`. A disabled key counts, because it can be enabled again. */
export function ownerCountOf({ owner, revokedAt, successor, expiresAt }: KeyRecord): OwnerCount | undefined {
  if (owner === undefined || revokedAt !== undefined) return undefined;
  if (successor === undefined) return { as: "active", until: expiresAt };
  return { as: "overlap", until: Math.min(expiresAt, successor.notAfter) };
}

// Key ids occur in headers, URLs and Redis keys, so the pattern excludes separators and glob characters.
const KEY_ID = /^[A-Za-z][A-Za-z0-9_-]{0,63}_\d{1,12}_[A-Za-z0-9]{16,32}$/;

export function isKeyId(text: string): boolean {
  return KEY_ID.test(text);
}

/** The role in a key id: the part before `_<unix seconds>_<random>`. It can contain a `_`. */
export function roleOfKeyId(keyId: string): string {
  return keyId.slice(0, keyId.lastIndexOf("_", keyId.lastIndexOf("_") - 1));
}
