import { createPackedRows } from "./packed-rows.ts";

/** The restriction of one key, as numbers. */
export interface PackedKey {
  readonly version: number;
  readonly expiresAt: number;
  /** The sum of `REVOKED` and `DISABLED`. */
  readonly flags: number;
  /** NumericDate; 0: no limit. */
  readonly notAfter: number;
}

/** The restrictions of keys, packed. */
export interface PackedKeyMap {
  get(keyId: string): PackedKey | undefined;
  set(keyId: string, packed: PackedKey): void;
  delete(keyId: string): void;
  entries(): Iterable<readonly [keyId: string, packed: PackedKey]>;
  size(): number;
}

export function createPackedKeyMap(): PackedKeyMap {
  const rows = createPackedRows(4);
  const read = (place: number): PackedKey => ({
    version: rows.number(place, 0),
    expiresAt: rows.number(place, 1),
    flags: rows.number(place, 2),
    notAfter: rows.number(place, 3),
  });
  return {
    get(keyId) {
      const place = rows.placeOf(keyId);
      return place === -1 ? undefined : read(place);
    },
    set: (keyId, { version, expiresAt, flags, notAfter }) =>
      rows.set(keyId, [version, expiresAt, flags, notAfter]),
    delete: rows.delete,
    *entries() {
      for (const [keyId, place] of rows.entries()) yield [keyId, read(place)];
    },
    size: rows.size,
  };
}
