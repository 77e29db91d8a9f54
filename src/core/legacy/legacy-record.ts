import type { KeyRecord, LegacyPart } from "../keys/key-record.ts";
import { NEVER } from "../keys/key-record.ts";
import type { Role } from "../policy/policy.ts";

export interface LegacyGrant {
  readonly role: Role;
  readonly scopes: readonly string[];
  readonly name: string;
  readonly stored: LegacyPart;
  readonly selfService: boolean;
  readonly owner?: string;
  /** NumericDate. Absent: the key never expires. */
  readonly expiresAt?: number;
}

/** The record of a new V1 key. Its id and its family show that it is a V1 key. */
export function legacyRecord(
  { newRandom }: { readonly newRandom: () => string },
  grant: LegacyGrant,
  issuedAt: number,
): KeyRecord {
  const family = `fam_v1${newRandom()}`;
  return {
    keyId: `${grant.role.name}_${issuedAt}_v1${newRandom()}`,
    family,
    familyStartedAt: issuedAt,
    ...(grant.owner !== undefined && { owner: grant.owner }),
    role: grant.role.name,
    scopes: grant.scopes,
    name: grant.name,
    issuedAt,
    expiresAt: grant.expiresAt ?? NEVER,
    refreshAfter: NEVER,
    selfService: grant.selfService,
    disabled: false,
    legacy: grant.stored,
    version: 1,
  };
}
