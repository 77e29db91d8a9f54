/** Bytes of a connection that the other server has not taken yet. */
export interface ByteFeed {
  /** @param cost what the bytes count against the queue */
  add(bytes: Buffer, cost: number): void;
  /** Takes the next bytes, at most `maxBytes`, in one piece. Undefined if there are none. */
  pull(): Buffer | undefined;
  /** Bytes that were added so far, and how many of them are taken. */
  added(): number;
  taken(): number;
  clear(): void;
}

/** @param onTaken called with the cost of bytes that are taken or cleared */
export function createByteFeed(maxBytes: number, onTaken: (cost: number) => void): ByteFeed {
  let waiting: { readonly bytes: Buffer; readonly cost: number }[] = [];
  let [added, taken] = [0, 0];
  /** Takes the first piece, or the first part of it. */
  const takeFirst = (limit: number): Buffer => {
    const [first] = waiting;
    if (first === undefined) return Buffer.alloc(0);
    if (first.bytes.length > limit) {
      waiting[0] = { bytes: first.bytes.subarray(limit), cost: first.cost };
      return first.bytes.subarray(0, limit);
    }
    waiting.shift();
    onTaken(first.cost);
    return first.bytes;
  };
  return {
    add(bytes, cost) {
      waiting.push({ bytes, cost });
      added += bytes.length;
    },
    pull() {
      const pieces: Buffer[] = [];
      let length = 0;
      while (waiting.length > 0 && length < maxBytes) {
        const piece = takeFirst(maxBytes - length);
        pieces.push(piece);
        length += piece.length;
      }
      taken += length;
      return length === 0 ? undefined : Buffer.concat(pieces);
    },
    added: () => added,
    taken: () => taken,
    clear() {
      for (const { cost } of waiting) onTaken(cost);
      waiting = [];
      taken = added;
    },
  };
}
