import type { Role } from "../policy/policy.ts";
import type { KeyBinding } from "./key-binding.ts";
import { bindingOf } from "./key-binding.ts";
import type { KeyRecord } from "./key-record.ts";
import { lifetime } from "./refresh-rule.ts";

/** 400 days. No key lives longer, so the end of a family can be forgotten after this time. */
export const MAX_KEY_LIFE_SECONDS = 400 * 86_400;

/** The registry has checked that the scopes and the life are within the role. */
export interface Grant extends KeyBinding {
  readonly role: Role;
  readonly scopes: readonly string[];
  readonly name: string;
  readonly metadata?: string;
  readonly owner?: string;
  readonly plan?: string;
  readonly ttlSeconds?: number;
  readonly selfService: boolean;
}

/** The record of a key without a predecessor. Without `familyStartedAt` it starts a new family. */
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
    ...(grant.plan === undefined ? {} : { plan: grant.plan }),
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

/** Ends this key only. Returns the same record if the key is already revoked. */
export function revokeKey(current: KeyRecord, nowSeconds: number): KeyRecord {
  return current.revokedAt === undefined
    ? { ...current, revokedAt: nowSeconds, version: current.version + 1 }
    : current;
}

/** The fields that an operator can change. Absent fields stay. */
export interface KeyPatch {
  readonly name?: string;
  readonly metadata?: string | null;
  readonly disabled?: boolean;
}

/** Returns the changed record, or the same record if nothing changes. */
export function patchKey(current: KeyRecord, patch: KeyPatch): KeyRecord {
  const { metadata: currentMetadata, ...rest } = current;
  const metadata = patch.metadata === undefined ? currentMetadata : (patch.metadata ?? undefined);
  const next: KeyRecord = {
    ...rest,
    ...(metadata === undefined ? {} : { metadata }),
    name: patch.name ?? current.name,
    disabled: patch.disabled ?? current.disabled,
  };
  const isUnchanged =
    next.name === current.name && next.disabled === current.disabled && metadata === currentMetadata;
  return isUnchanged ? current : { ...next, version: current.version + 1 };
}
