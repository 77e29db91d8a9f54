/** The restriction of one key, as numbers. */
export interface PackedKey {
  readonly version: number;
  readonly expiresAt: number;
  /** The sum of `REVOKED` and `DISABLED`. */
  readonly flags: number;
  /** NumericDate; 0: no limit. */
  readonly notAfter: number;
}

/** A map that takes half of the memory of a map of objects, for a hundred thousand keys. */
export interface PackedKeyMap {
  get(keyId: string): PackedKey | undefined;
  set(keyId: string, packed: PackedKey): void;
  delete(keyId: string): void;
  entries(): Iterable<readonly [keyId: string, packed: PackedKey]>;
  size(): number;
}

const NUMBERS = 4;
const INITIAL_CAPACITY = 64;

/** Stores all numbers in one array. The place of a deleted key is reused. */
export function createPackedKeyMap(): PackedKeyMap {
  const places = new Map<string, number>();
  const free: number[] = [];
  let numbers = new Float64Array(INITIAL_CAPACITY * NUMBERS);
  const read = (place: number): PackedKey => {
    const [version = 0, expiresAt = 0, flags = 0, notAfter = 0] = numbers.subarray(place, place + NUMBERS);
    return { version, expiresAt, flags, notAfter };
  };
  const newPlace = () => free.pop() ?? places.size * NUMBERS;
  return {
    get(keyId) {
      const place = places.get(keyId);
      return place === undefined ? undefined : read(place);
    },
    set(keyId, { version, expiresAt, flags, notAfter }) {
      const place = places.get(keyId) ?? newPlace();
      if (place >= numbers.length) {
        const larger = new Float64Array(2 * numbers.length);
        larger.set(numbers);
        numbers = larger;
      }
      numbers.set([version, expiresAt, flags, notAfter], place);
      places.set(keyId, place);
    },
    delete(keyId) {
      const place = places.get(keyId);
      if (place === undefined) return;
      places.delete(keyId);
      free.push(place);
    },
    *entries() {
      for (const [keyId, place] of places) yield [keyId, read(place)];
    },
    size: () => places.size,
  };
}
