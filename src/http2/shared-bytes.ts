/** Memory that callers make this process keep, all of them together. */
export interface SharedBytes<Holder> {
  /**
   * Notes how many bytes a holder keeps from now on. While all of them keep more than the maximum, the one that has kept
   * something for longest gives it up. Callers that send and read without delay keep theirs for moments, so that those who
   * leave things lying about lose first, however many connections they spread them over.
   */
  set(holder: Holder, bytes: number): void;
  /** What all keep now. */
  readonly bytes: () => number;
}

/** @param giveUp frees what the holder keeps; need not call `set` */
export function createSharedBytes<Holder>(
  maxBytes: number,
  giveUp: (holder: Holder) => void,
): SharedBytes<Holder> {
  /** In the order in which they began to keep something. */
  const kept = new Map<Holder, number>();
  let total = 0;
  const set = (holder: Holder, bytes: number): void => {
    total += bytes - (kept.get(holder) ?? 0);
    if (bytes === 0) kept.delete(holder);
    else kept.set(holder, bytes);
  };
  return {
    set(holder, bytes) {
      set(holder, bytes);
      while (total > maxBytes) {
        const [oldest] = kept.keys();
        if (oldest === undefined) return;
        set(oldest, 0);
        giveUp(oldest);
      }
    },
    bytes: () => total,
  };
}
