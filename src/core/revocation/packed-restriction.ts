import type { PackedKey } from "./packed-key-map.ts";
import type { KeyRestriction } from "./revocation.ts";

/** Bits of `PackedKey.flags`. */
export const REVOKED = 1;
export const DISABLED = 2;

export function pack({ version, expiresAt, revoked, disabled, notAfter = 0 }: KeyRestriction): PackedKey {
  const flags = (revoked ? REVOKED : 0) + (disabled ? DISABLED : 0);
  return { version, expiresAt, flags, notAfter };
}

export function unpack(
  keyId: string,
  { version, expiresAt, flags, notAfter }: PackedKey,
): { readonly kind: "key" } & KeyRestriction {
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

/**
 * Merges two restrictions of one key. A revocation and the end of an overlap are permanent. `disabled` follows the newer
 * version, and the stricter value if both have the same version.
 */
export function merge(a: PackedKey, b: PackedKey): PackedKey {
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

/** Whether two merged restrictions are equal. `expiresAt` only says how long they are kept. */
export function samePacked(a: PackedKey, b: PackedKey): boolean {
  return a.version === b.version && a.flags === b.flags && a.notAfter === b.notAfter;
}
