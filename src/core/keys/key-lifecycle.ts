import type { Role } from "../policy/policy.ts";
import type { KeyBinding } from "./key-binding.ts";
import { bindingOf } from "./key-binding.ts";
import type { KeyRecord, Succession } from "./key-record.ts";
import { statusOf } from "./key-record.ts";

/** No key outlives this, so an ended family or a cut-off can be forgotten after it. 400 days. */
export const MAX_KEY_LIFE_SECONDS = 400 * 86_400;

/** What a new key is to be. Scopes are a part of the role's, and the ttl at most the role's: the registry sees to it. */
export interface Grant extends KeyBinding {
  readonly role: Role;
  readonly scopes: readonly string[];
  readonly name: string;
  readonly metadata?: string;
  readonly owner?: string;
  readonly ttlSeconds?: number;
  readonly selfService: boolean;
}

/** A key that is made by itself, not from a predecessor. Without `familyStartedAt` it begins its family. */
export function firstKey(
  grant: Grant,
  ids: { readonly keyId: string; readonly family: string },
  issuedAt: number,
  familyStartedAt = issuedAt,
): KeyRecord {
  const { role, ttlSeconds } = grant;
  return {
    keyId: ids.keyId,
    family: ids.family,
    familyStartedAt,
    ...(grant.owner === undefined ? {} : { owner: grant.owner }),
    role: role.name,
    scopes: grant.scopes,
    name: grant.name,
    ...(grant.metadata === undefined ? {} : { metadata: grant.metadata }),
    ...lifetime(role, ttlSeconds, familyStartedAt, issuedAt),
    selfService: grant.selfService,
    ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
    ...bindingOf(grant),
    disabled: false,
    version: 1,
  };
}

type Lifetime = Pick<KeyRecord, "issuedAt" | "expiresAt" | "refreshAfter">;

/** `refresh_after` = max(iat + ttl/2, exp − refresh_window): never in the first half of a key's life. */
function lifetime(
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

/** Why a key gets no successor. */
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
  /** The same refresh once more: its reply was lost. */
  | { readonly kind: "replayed"; readonly keyId: string }
  | { readonly kind: "refused"; readonly reason: RefreshDenial };

export interface RefreshRequest {
  /** The role as the policy has it now. */
  readonly role: Role;
  readonly nextKeyId: string;
  readonly nowSeconds: number;
  /** Digest of the `Idempotency-Key`, when the caller sent one. */
  readonly idempotency?: string;
  /** An operator's rotation: at once, whatever `refresh_after` says, with an overlap of its own. */
  readonly rotation?: { readonly overlapSeconds?: number };
}

/** Gives a key its one successor, or says why not. Scopes, owner, name and what binds it pass on unchanged: nothing is ever widened. */
export function refreshKey(current: KeyRecord, request: RefreshRequest): RefreshResult {
  const { role, nowSeconds, rotation } = request;
  const ended = endedForRefresh(current, nowSeconds);
  if (ended !== undefined) return { kind: "refused", reason: ended };
  if (current.successor !== undefined) return repeatRefresh(current.successor, request);
  if (rotation === undefined && nowSeconds < current.refreshAfter) {
    return { kind: "refused", reason: "refresh_too_early" };
  }
  // A key may be dated a little ahead, past a cut-off of its own second; its successor must not fall behind it.
  const issuedAt = Math.max(nowSeconds, current.issuedAt);
  const familyStartedAt = familyStartOf(current, issuedAt);
  const life = lifetime(role, current.ttlSeconds, familyStartedAt, issuedAt);
  if (life.expiresAt <= life.issuedAt || (rotation === undefined && life.expiresAt <= current.expiresAt)) {
    return { kind: "refused", reason: "family_too_old" };
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

/** `max_family_age` counts from the family's first V2 key: of a V1 key, from when it was first exchanged for one. */
export function familyStartOf({ familyStartedAt, legacy }: KeyRecord, issuedAt: number): number {
  return legacy === undefined ? familyStartedAt : (legacy.migratedAt ?? issuedAt);
}

/** What a V1 key's record says once its family has a V2 key; of a V2 key there is nothing to say. */
export function exchanged({ legacy }: KeyRecord, nowSeconds: number): Pick<KeyRecord, "legacy"> {
  if (legacy === undefined) return {};
  return { legacy: { ...legacy, migratedAt: legacy.migratedAt ?? nowSeconds } };
}

function endedForRefresh(current: KeyRecord, nowSeconds: number): RefreshDenial | undefined {
  const status = statusOf(current, nowSeconds);
  if (status === "revoked" || status === "expired" || status === "disabled") return `key_${status}`;
  const over = current.successor !== undefined && nowSeconds >= current.successor.notAfter;
  return over ? "key_superseded" : undefined;
}

function repeatRefresh(successor: Succession, request: RefreshRequest): RefreshResult {
  const same = request.idempotency !== undefined && request.idempotency === successor.idempotency;
  return same
    ? { kind: "replayed", keyId: successor.keyId }
    : { kind: "refused", reason: "already_refreshed" };
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

/** Ends this key alone. A key that is revoked already stays as it is. */
export function revokeKey(current: KeyRecord, nowSeconds: number): KeyRecord {
  return current.revokedAt === undefined
    ? { ...current, revokedAt: nowSeconds, version: current.version + 1 }
    : current;
}

/** What an operator may change of a key; what is left out stays. */
export interface KeyPatch {
  readonly name?: string;
  readonly metadata?: string | null;
  readonly disabled?: boolean;
}

/** The changed record, or the same one when nothing changes. A revoked key never comes back. */
export function patchKey(current: KeyRecord, patch: KeyPatch): KeyRecord {
  const { metadata: kept, ...rest } = current;
  const metadata = patch.metadata === undefined ? kept : (patch.metadata ?? undefined);
  const next: KeyRecord = {
    ...rest,
    ...(metadata === undefined ? {} : { metadata }),
    name: patch.name ?? current.name,
    disabled: patch.disabled ?? current.disabled,
  };
  const same = next.name === current.name && next.disabled === current.disabled && metadata === kept;
  return same ? current : { ...next, version: current.version + 1 };
}
