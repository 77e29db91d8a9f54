/** A bounded cache. */
export interface ClockCache<Key, Value> {
  /** Marks the entry as used. */
  get(key: Key): Value | undefined;
  set(key: Key, value: Value): void;
  delete(key: Key): void;
  entries(): Iterable<readonly [Key, Value]>;
  clear(): void;
}

interface CacheEntry<Value> {
  value: Value;
  used: boolean;
  readonly place: number;
}

interface State<Key, Value> {
  readonly max: number;
  readonly entries: Map<Key, CacheEntry<Value>>;
  /** The keys, in a circle. */
  readonly places: Key[];
  /** Places of deleted entries. */
  readonly free: number[];
  /** The next place to examine. */
  hand: number;
}

/** Maximum number of used entries to skip, so that an insertion never walks through all entries. */
const MAX_SECOND_CHANCES = 16;

/**
 * A cache of `max` entries with the clock algorithm ("second chance"): it evicts the next entry that was not used since the hand
 * last passed it. A use only sets a mark, and no entry is ever moved.
 */
export function createClockCache<Key, Value>(
  max: number,
  onEvict?: (value: Value) => void,
): ClockCache<Key, Value> {
  const state: State<Key, Value> = { max, entries: new Map(), places: [], free: [], hand: 0 };
  const { entries, places, free } = state;
  return {
    get(key) {
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      entry.used = true;
      return entry.value;
    },
    set(key, value) {
      const entry = entries.get(key);
      if (entry !== undefined) {
        entry.value = value;
        return;
      }
      const place = free.pop() ?? (entries.size < max ? places.length : evictOne(state, onEvict));
      places[place] = key;
      entries.set(key, { value, used: false, place });
    },
    delete(key) {
      const entry = entries.get(key);
      if (entry !== undefined) free.push(entry.place);
      entries.delete(key);
    },
    *entries() {
      for (const [key, { value }] of entries) yield [key, value];
    },
    clear() {
      entries.clear();
      places.length = free.length = state.hand = 0;
    },
  };
}

/** Evicts one entry of a full cache. Returns its place. */
function evictOne<Key, Value>(state: State<Key, Value>, onEvict?: (value: Value) => void): number {
  for (let skipped = 0; ; skipped++) {
    const place = state.hand;
    state.hand = (place + 1) % state.max;
    const key = state.places[place];
    const entry = key === undefined ? undefined : state.entries.get(key);
    if (entry?.used && skipped < MAX_SECOND_CHANCES) {
      entry.used = false;
      continue;
    }
    if (key !== undefined) state.entries.delete(key);
    if (entry !== undefined) onEvict?.(entry.value);
    return place;
  }
}
