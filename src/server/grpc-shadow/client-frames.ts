const PREFACE_BYTES = 24;
const FRAME_HEAD_BYTES = 9;
/** RFC 9113 §6.4, §6.7. */
const RST_STREAM = 3;
const PING = 6;
const ACK = 1;

/**
 * Removes the acknowledgements of our own PINGs from the bytes of an HTTP/2 client. A server that has sent no PING must not receive
 * them. Every other byte stays as it arrived. Calls `onReset` for each stream that the client resets.
 */
export function createClientFrames(onReset: () => void): (chunk: Buffer) => Buffer {
  let rest = Buffer.alloc(0);
  /** Bytes that pass without a look: the preface, and the payload of a frame. */
  let passing = PREFACE_BYTES;
  let dropping = 0;
  return (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const pieces: Buffer[] = [];
    let at = 0;
    const take = (count: number) => {
      const from = at;
      at = Math.min(bytes.length, at + count);
      return bytes.subarray(from, at);
    };
    for (;;) {
      dropping -= take(dropping).length;
      const passed = take(passing);
      passing -= passed.length;
      pieces.push(passed);
      if (bytes.length - at < FRAME_HEAD_BYTES) break;
      if (bytes[at + 3] === RST_STREAM) onReset();
      const isPingAck = bytes[at + 3] === PING && ((bytes[at + 4] ?? 0) & ACK) !== 0;
      const frameBytes = FRAME_HEAD_BYTES + bytes.readUIntBE(at, 3);
      if (isPingAck) dropping = frameBytes;
      else passing = frameBytes;
    }
    rest = Buffer.from(bytes.subarray(at));
    return Buffer.concat(pieces);
  };
}
