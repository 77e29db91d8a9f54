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
}

/** So many are passed over at a time at most: nobody waits for a walk through all of them. */
const MAX_PASSED_OVER = 16;

/**
 * Holds `max` entries; when one more comes, the oldest goes that was not used since it was last passed over (the clock
 * algorithm, "second chance"). So a use costs no more than a mark.
 */
export function createRecent<Key, Value>(max: number, dropped?: (value: Value) => void): Recent<Key, Value> {
  const entries = new Map<Key, Held<Value>>();
  const makeRoom = () => {
    let passedOver = 0;
    for (const [key, held] of entries) {
      entries.delete(key);
      if (held.used && passedOver++ < MAX_PASSED_OVER) {
        held.used = false;
        entries.set(key, held);
        continue;
      }
      dropped?.(held.value);
      return;
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
      if (entries.size >= max) makeRoom();
      entries.set(key, { value, used: false });
    },
    delete: (key) => void entries.delete(key),
    *entries() {
      for (const [key, { value }] of entries) yield [key, value];
    },
    clear: () => entries.clear(),
  };
}
