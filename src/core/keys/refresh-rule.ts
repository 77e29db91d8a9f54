import type { Role } from "../policy/policy.ts";
import type { KeyRecord, Succession } from "./key-record.ts";
import { statusOf } from "./key-record.ts";

export type Lifetime = Pick<KeyRecord, "issuedAt" | "expiresAt" | "refreshAfter">;

/** `refresh_after` = max(iat + ttl/2, exp − refresh_window), so never in the first half of a key's life. */
export function lifetime(
  role: Role,
  ttlSeconds: number | undefined,
  familyStartedAt: number,
  issuedAt: number,
): Lifetime {
  const longest = issuedAt + Math.min(ttlSeconds ?? role.ttlSeconds, role.ttlSeconds);
  const familyEnd = familyStartedAt + (role.maxFamilyAgeSeconds ?? Number.POSITIVE_INFINITY);
  const expiresAt = Math.min(longest, familyEnd);
  const halfLife = issuedAt + Math.ceil((expiresAt - issuedAt) / 2);
  return { issuedAt, expiresAt, refreshAfter: Math.max(halfLife, expiresAt - role.refreshWindowSeconds) };
}

/** Why the registry issues no successor. */
export type RefreshDenial =
  | "key_revoked"
  | "key_expired"
  | "key_disabled"
  | "key_superseded"
  | "refresh_too_early"
  | "already_refreshed"
  | "family_too_old";

export type RefreshResult =
  | { readonly kind: "minted"; readonly old: KeyRecord; readonly next: KeyRecord }
  /** A repetition of the same refresh, whose reply was lost. */
  | { readonly kind: "replayed"; readonly keyId: string }
  | { readonly kind: "denied"; readonly reason: RefreshDenial };

export interface RefreshRequest {
  /** The role in the current policy. */
  readonly role: Role;
  readonly nextKeyId: string;
  readonly nowSeconds: number;
  /** Digest of the `Idempotency-Key`, if the caller sent one. */
  readonly idempotency?: string;
  /** Set for a rotation by an operator, which ignores `refresh_after` and can set its own overlap. */
  readonly rotation?: { readonly overlapSeconds?: number };
}

/** Issues the one successor of a key. Scopes, owner, plan, name and binding pass on unchanged, so a refresh never widens anything. */
export function refreshKey(current: KeyRecord, request: RefreshRequest): RefreshResult {
  const { role, nowSeconds, rotation } = request;
  const ended = endedForRefresh(current, nowSeconds);
  if (ended !== undefined) return { kind: "denied", reason: ended };
  if (current.successor !== undefined) return repeatRefresh(current.successor, request);
  if (rotation === undefined && nowSeconds < current.refreshAfter) {
    return { kind: "denied", reason: "refresh_too_early" };
  }
  // A key may be dated a few seconds ahead, behind a cut-off. Its successor must not have an earlier date.
  const issuedAt = Math.max(nowSeconds, current.issuedAt);
  const familyStartedAt = familyStartOf(current, issuedAt);
  const life = lifetime(role, current.ttlSeconds, familyStartedAt, issuedAt);
  if (life.expiresAt <= life.issuedAt || (rotation === undefined && life.expiresAt <= current.expiresAt)) {
    return { kind: "denied", reason: "family_too_old" };
  }
  const { successor: _, revokedAt: __, legacy: ___, ...kept } = current;
  const next: KeyRecord = {
    ...kept,
    ...life,
    familyStartedAt,
    keyId: request.nextKeyId,
    disabled: false,
    version: 1,
  };
  return { kind: "minted", old: superseded(current, request), next };
}

/** `max_family_age` counts from the family's first V2 key. For a V1 key this is its first exchange. */
export function familyStartOf({ familyStartedAt, legacy }: KeyRecord, issuedAt: number): number {
  return legacy === undefined ? familyStartedAt : (legacy.migratedAt ?? issuedAt);
}

/** The fields that change when the family of a V1 key gets its first V2 key. None for a V2 key. */
export function exchanged({ legacy }: KeyRecord, nowSeconds: number): Pick<KeyRecord, "legacy"> {
  if (legacy === undefined) return {};
  return { legacy: { ...legacy, migratedAt: legacy.migratedAt ?? nowSeconds } };
}

function endedForRefresh(current: KeyRecord, nowSeconds: number): RefreshDenial | undefined {
  const status = statusOf(current, nowSeconds);
  if (status === "revoked" || status === "expired" || status === "disabled") return `key_${status}`;
  const overlapEnded = current.successor !== undefined && nowSeconds >= current.successor.notAfter;
  return overlapEnded ? "key_superseded" : undefined;
}

function repeatRefresh(successor: Succession, request: RefreshRequest): RefreshResult {
  const isSameCall = request.idempotency !== undefined && request.idempotency === successor.idempotency;
  return isSameCall
    ? { kind: "replayed", keyId: successor.keyId }
    : { kind: "denied", reason: "already_refreshed" };
}

function superseded(current: KeyRecord, request: RefreshRequest): KeyRecord {
  const { nowSeconds, rotation, role, idempotency, nextKeyId } = request;
  const overlapSeconds = rotation?.overlapSeconds ?? role.refreshOverlapSeconds ?? Number.POSITIVE_INFINITY;
  const successor: Succession = {
    keyId: nextKeyId,
    at: nowSeconds,
    notAfter: Math.min(current.expiresAt, nowSeconds + overlapSeconds),
    ...(idempotency === undefined ? {} : { idempotency }),
  };
  return {
    ...current,
    ...exchanged(current, nowSeconds),
    successor,
    version: current.version + 1,
  };
}
