/** What is looked up again and again, bounded. */
export interface ClockCache<Key, Value> {
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

interface State<Key, Value> {
  readonly max: number;
  readonly entries: Map<Key, Held<Value>>;
  /** Their keys, in a circle. */
  readonly places: Key[];
  /** Places whose entries were deleted. */
  readonly free: number[];
  /** The place that is looked at next. */
  hand: number;
}

/** So many are passed over at a time at most: nobody waits for a walk through all of them. */
const MAX_SECOND_CHANCES = 16;

/**
 * Holds `max` entries; for one more, the next goes that was not used since a hand last passed over it (the clock algorithm,
 * "second chance"). So a use costs no more than a mark, and nothing is ever moved.
 */
export function createClockCache<Key, Value>(
  max: number,
  dropped?: (value: Value) => void,
): ClockCache<Key, Value> {
  const state: State<Key, Value> = { max, entries: new Map(), places: [], free: [], hand: 0 };
  const { entries, places, free } = state;
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
      const place = free.pop() ?? (entries.size < max ? places.length : evictOne(state, dropped));
      places[place] = key;
      entries.set(key, { value, used: false, place });
    },
    delete(key) {
      const held = entries.get(key);
      if (held !== undefined) free.push(held.place);
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

/** Drops one entry, where all places are taken. Gives its place. */
function evictOne<Key, Value>(state: State<Key, Value>, dropped?: (value: Value) => void): number {
  for (let passedOver = 0; ; passedOver++) {
    const place = state.hand;
    state.hand = (place + 1) % state.max;
    const key = state.places[place];
    const held = key === undefined ? undefined : state.entries.get(key);
    if (held?.used && passedOver < MAX_SECOND_CHANCES) {
      held.used = false;
      continue;
    }
    if (key !== undefined) state.entries.delete(key);
    if (held !== undefined) dropped?.(held.value);
    return place;
  }
}
