import { failConnection } from "./connection.ts";
import type { Connection } from "./connection-state.ts";
import { onFrame } from "./frame-handlers.ts";
import { ERROR_CODE, FRAME_HEAD_BYTES, MAX_FRAME_BYTES, PREFACE } from "./frames.ts";
import { keptCopy } from "./kept-bytes.ts";

const NO_BYTES: Buffer = Buffer.alloc(0);

/** Splits the bytes of a connection into frames, after the preface (RFC 9113 §3.4, §4.1). */
export function createFrameParser(connection: Connection): (chunk: Buffer) => void {
  let rest = NO_BYTES;
  let prefaceReceived = false;
  return (chunk) => {
    if (connection.isClosed) return;
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    if (!prefaceReceived) {
      const compared = Math.min(bytes.length, PREFACE.length);
      if (bytes.compare(PREFACE, 0, compared, 0, compared) !== 0) {
        failConnection(connection, ERROR_CODE.PROTOCOL_ERROR);
        return;
      }
      prefaceReceived = compared === PREFACE.length;
      at = prefaceReceived ? compared : 0;
    }
    rest = prefaceReceived ? parseFrames(connection, bytes, at) : keptCopy(bytes);
  };
}

/** Handles all complete frames. Returns the bytes of an incomplete one. */
function parseFrames(connection: Connection, bytes: Buffer, start: number): Buffer {
  let at = start;
  while (bytes.length - at >= FRAME_HEAD_BYTES) {
    const length = bytes.readUIntBE(at, 3);
    const from = at + FRAME_HEAD_BYTES;
    if (length <= MAX_FRAME_BYTES && bytes.length < from + length) break;
    const code =
      length > MAX_FRAME_BYTES
        ? ERROR_CODE.FRAME_SIZE_ERROR
        : onFrame(connection, bytes, from, from + length);
    if (code !== undefined) failConnection(connection, code);
    if (connection.isClosed) break;
    at = from + length;
  }
  // A copy, because a view would keep the whole chunk in memory for each connection.
  return at === bytes.length ? NO_BYTES : keptCopy(bytes.subarray(at));
}
