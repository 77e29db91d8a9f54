import type { ClockHand } from "./clock-hand.ts";
import { placeToEvict } from "./clock-hand.ts";

/** A bounded cache of values under digests. */
export interface DigestCache<Value extends {}> {
  /** Marks the entry as used. */
  get(digest: string): Value | undefined;
  set(digest: string, value: Value): void;
  clear(): void;
}

/**
 * 128 bits of each digest are kept. Only tokens with a valid signature are cached, so a collision is another text with the 128 bits of
 * one of at most 2^20 cached tokens: 2^108 hashes.
 */
const WORDS = 4;
const BYTES = 4 * WORDS;

/** Places have numbers. Typed arrays are not on the heap, and have no entry of a map and no text for each digest. */
interface Table<Value> extends ClockHand {
  /** A hash table with linear probing: the place plus 1, or 0. At most half full, so that a search takes one or two steps. */
  readonly slots: Uint32Array;
  /** The digest of each place. */
  readonly words: Uint32Array;
  readonly values: Value[];
}

/**
 * A cache of `max` entries that evicts as `createClockCache` does, for keys that are digests of a cryptographic hash. Beside its value,
 * an entry takes 25 to 33 bytes outside of the heap and 8 on it, and 100 in that cache. The operating system gives memory
 * only to places that were used.
 * @param max from 1
 */
export function createDigestCache<Value extends {}>(
  max: number,
  onEvict?: (value: Value) => void,
): DigestCache<Value> {
  const table: Table<Value> = {
    slots: new Uint32Array(2 ** Math.ceil(Math.log2(2 * max))),
    words: new Uint32Array(WORDS * max),
    values: [],
    used: new Uint8Array(max),
    hand: 0,
  };
  const { slots, values, used } = table;
  const wanted = new Uint32Array(WORDS);
  return {
    get(digest) {
      readWords(digest, wanted);
      const place = (slots[findSlot(table, wanted, 0)] ?? 0) - 1;
      if (place < 0) return undefined;
      used[place] = 1;
      return values[place];
    },
    set(digest, value) {
      readWords(digest, wanted);
      const known = (slots[findSlot(table, wanted, 0)] ?? 0) - 1;
      if (known >= 0) {
        values[known] = value;
        return;
      }
      const place = values.length < max ? values.length : evictOne(table, onEvict);
      values[place] = value;
      used[place] = 0;
      table.words.set(wanted, WORDS * place);
      // Found after the eviction, which moves entries.
      slots[findSlot(table, wanted, 0)] = place + 1;
    },
    clear() {
      slots.fill(0);
      values.length = table.hand = 0;
    },
  };
}

/** @param digest a text of bytes: at least 16 characters up to 0xff */
function readWords(digest: string, into: Uint32Array): void {
  if (digest.length < BYTES) throw new RangeError("the digest is too short");
  for (let word = 0; word < WORDS; word++) {
    const at = 4 * word;
    into[word] =
      digest.charCodeAt(at) |
      (digest.charCodeAt(at + 1) << 8) |
      (digest.charCodeAt(at + 2) << 16) |
      (digest.charCodeAt(at + 3) << 24);
  }
}

/** The slot of the digest that begins at `from`, or the empty slot where its search ends. */
function findSlot({ slots, words }: Table<unknown>, wanted: Uint32Array, from: number): number {
  const mask = slots.length - 1;
  for (let slot = (wanted[from] ?? 0) & mask; ; slot = (slot + 1) & mask) {
    const place = (slots[slot] ?? 0) - 1;
    if (place < 0) return slot;
    const at = WORDS * place;
    let word = 0;
    while (word < WORDS && words[at + word] === wanted[from + word]) word++;
    if (word === WORDS) return slot;
  }
}

/** Evicts one entry of a full cache. Returns its place. */
function evictOne<Value>(table: Table<Value>, onEvict?: (value: Value) => void): number {
  const { words, values } = table;
  const place = placeToEvict(table);
  emptySlot(table, findSlot(table, words, WORDS * place));
  const value = values[place];
  if (value !== undefined) onEvict?.(value);
  return place;
}

/** Empties a slot. An entry after it whose search would end there moves into it. */
function emptySlot({ slots, words }: Table<unknown>, emptied: number): void {
  const mask = slots.length - 1;
  let gap = emptied;
  for (let slot = (gap + 1) & mask; ; slot = (slot + 1) & mask) {
    const content = slots[slot] ?? 0;
    if (content === 0) break;
    const first = (words[WORDS * (content - 1)] ?? 0) & mask;
    // The steps from its first slot to where it is, and from the gap.
    if (((slot - first) & mask) < ((slot - gap) & mask)) continue;
    slots[gap] = content;
    gap = slot;
  }
  slots[gap] = 0;
}
