/** Limits the memory that all holders together keep. */
export interface SharedBytes<Holder> {
  /**
   * Sets the bytes that a holder keeps. While the total exceeds the maximum, the holder that has kept bytes for the longest time
   * is released. A client that sends and reads without delay keeps bytes for moments only. So clients that delay lose
   * first, over however many connections they spread their bytes.
   */
  set(holder: Holder, bytes: number): void;
  /** The total of all holders. */
  readonly bytes: () => number;
}

/** @param release frees the bytes of the holder; need not call `set` */
export function createSharedBytes<Holder>(
  maxBytes: number,
  release: (holder: Holder) => void,
): SharedBytes<Holder> {
  /** In the order in which the holders began to keep bytes. */
  const holders = new Map<Holder, number>();
  let total = 0;
  const set = (holder: Holder, bytes: number): void => {
    total += bytes - (holders.get(holder) ?? 0);
    if (bytes === 0) holders.delete(holder);
    else holders.set(holder, bytes);
  };
  return {
    set(holder, bytes) {
      set(holder, bytes);
      while (total > maxBytes) {
        const [oldest] = holders.keys();
        if (oldest === undefined) return;
        set(oldest, 0);
        release(oldest);
      }
    },
    bytes: () => total,
  };
}
