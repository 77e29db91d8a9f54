/** The places of a cache in a circle, and a hand that passes them to find the next one to evict. */
export interface ClockHand {
  /** 1 for each place whose entry was used since the hand last passed it. */
  readonly used: Uint8Array;
  /** The next place to examine. */
  hand: number;
}

/** Maximum number of used entries to skip, so that an insertion never walks through all entries. */
const MAX_SECOND_CHANCES = 16;

/** The place whose entry a full cache evicts: the next one that was not used since the hand last passed it. */
export function placeToEvict(clock: ClockHand): number {
  const { used } = clock;
  for (let skipped = 0; ; skipped++) {
    const place = clock.hand;
    clock.hand = (place + 1) % used.length;
    if (used[place] !== 1 || skipped >= MAX_SECOND_CHANCES) return place;
    used[place] = 0;
  }
}
