/** What is looked up again and again, bounded. */
export interface Recent<Key, Value> {
  /** It counts as used. */
  get(key: Key): Value | undefined;
  set(key: Key, value: Value): void;
  delete(key: Key): void;
  entries(): Iterable<readonly [Key, Value]>;
  clear(): void;
}

interface Held<Value> {
  value: Value;
  used: boolean;
  readonly place: number;
}

/** So many are passed over at a time at most: nobody waits for a walk through all of them. */
const MAX_PASSED_OVER = 16;

/**
 * Holds `max` entries; for one more, the next goes that was not used since a hand last passed over it (the clock algorithm,
 * "second chance"). So a use costs no more than a mark, and nothing is ever moved.
 */
export function createRecent<Key, Value>(max: number, dropped?: (value: Value) => void): Recent<Key, Value> {
  const entries = new Map<Key, Held<Value>>();
  /** Their keys, in a circle; a place whose entry was deleted is free. */
  const places: Key[] = [];
  let free: number[] = [];
  let hand = 0;
  const makeRoom = (): number => {
    for (let passedOver = 0; ; passedOver++) {
      const place = hand;
      hand = (hand + 1) % max;
      const key = places[place];
      const held = key === undefined ? undefined : entries.get(key);
      if (held?.used && passedOver < MAX_PASSED_OVER) held.used = false;
      else {
        if (key !== undefined) entries.delete(key);
        if (held !== undefined) dropped?.(held.value);
        return place;
      }
    }
  };
  return {
    get(key) {
      const held = entries.get(key);
      if (held === undefined) return undefined;
      held.used = true;
      return held.value;
    },
    set(key, value) {
      const held = entries.get(key);
      if (held !== undefined) {
        held.value = value;
        return;
      }
      const place = free.pop() ?? (entries.size < max ? places.length : makeRoom());
      places[place] = key;
      entries.set(key, { value, used: false, place });
    },
    delete(key) {
      const held = entries.get(key);
      if (held === undefined) return;
      entries.delete(key);
      free.push(held.place);
    },
    *entries() {
      for (const [key, { value }] of entries) yield [key, value];
    },
    clear() {
      entries.clear();
      places.length = 0;
      free = [];
      hand = 0;
    },
  };
}
