import type { ClockHand } from "./clock-hand.ts";
import { placeToEvict } from "./clock-hand.ts";

/** A bounded cache. */
export interface ClockCache<Key, Value extends {}> {
  /** Marks the entry as used. */
  get(key: Key): Value | undefined;
  set(key: Key, value: Value): void;
  delete(key: Key): void;
  entries(): Iterable<readonly [Key, Value]>;
  clear(): void;
}

/** Entries have places in a circle. Arrays instead of an object for each entry take 40 bytes less. */
interface State<Key, Value> extends ClockHand {
  readonly places: Map<Key, number>;
  readonly keys: Key[];
  readonly values: (Value | undefined)[];
  /** Places of deleted entries. */
  readonly free: number[];
}

/**
 * A cache of `max` entries with the clock algorithm ("second chance"): it evicts the next entry that was not used since the hand
 * last passed it. A use only sets a mark, and no entry is ever moved.
 */
export function createClockCache<Key, Value extends {}>(
  max: number,
  onEvict?: (value: Value) => void,
): ClockCache<Key, Value> {
  const state: State<Key, Value> = {
    places: new Map(),
    keys: [],
    values: [],
    used: new Uint8Array(max),
    free: [],
    hand: 0,
  };
  const { places, keys, values, used, free } = state;
  return {
    get(key) {
      const place = places.get(key);
      if (place === undefined) return undefined;
      used[place] = 1;
      return values[place];
    },
    set(key, value) {
      const known = places.get(key);
      if (known !== undefined) {
        values[known] = value;
        return;
      }
      const place = free.pop() ?? (places.size < max ? keys.length : evictOne(state, onEvict));
      keys[place] = key;
      values[place] = value;
      used[place] = 0;
      places.set(key, place);
    },
    delete(key) {
      const place = places.get(key);
      if (place === undefined) return;
      places.delete(key);
      values[place] = undefined;
      free.push(place);
    },
    *entries() {
      for (const [key, place] of places) {
        const value = values[place];
        if (value !== undefined) yield [key, value];
      }
    },
    clear() {
      places.clear();
      keys.length = values.length = free.length = state.hand = 0;
    },
  };
}

/** Evicts one entry of a full cache. Returns its place. */
function evictOne<Key, Value>(state: State<Key, Value>, onEvict?: (value: Value) => void): number {
  const { places, keys, values } = state;
  const place = placeToEvict(state);
  const [key, value] = [keys[place], values[place]];
  if (key !== undefined) places.delete(key);
  if (value !== undefined) onEvict?.(value);
  return place;
}
