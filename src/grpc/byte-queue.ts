/** Bytes that arrive in pieces of any size, in memory that is at most a few times as large. */
export interface ByteQueue {
  push(piece: Uint8Array): void;
  /** All bytes of the queue, valid until the next `push`. */
  bytes(): Buffer;
  /** Removes bytes from the start. */
  remove(count: number): void;
}

const NO_BYTES: Buffer = Buffer.alloc(0);

export function createByteQueue(): ByteQueue {
  let buffer = NO_BYTES;
  let [from, to] = [0, 0];
  return {
    push(piece) {
      if (to + piece.length > buffer.length) {
        // The capacity doubles, so a thousand pieces are not copied a thousand times.
        const larger = Buffer.allocUnsafeSlow(2 * (to - from + piece.length));
        buffer.copy(larger, 0, from, to);
        [buffer, from, to] = [larger, 0, to - from];
      }
      buffer.set(piece, to);
      to += piece.length;
    },
    bytes: () => buffer.subarray(from, to),
    remove(count) {
      from += count;
      if (from === to) [buffer, from, to] = [NO_BYTES, 0, 0];
    },
  };
}
