/**
 * Bytes that are kept for longer than a turn need memory of their own. Node puts small buffers into a shared block of 64 KiB, so
 * one that a client makes the server keep would keep the whole block.
 */
export function keptCopy(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}

/** The bytes in memory that is at most twice as large. A buffer from which more and more is removed is thus copied a few times only. */
export function compact(bytes: Buffer): Buffer {
  return bytes.buffer.byteLength > 2 * bytes.length ? keptCopy(bytes) : bytes;
}
