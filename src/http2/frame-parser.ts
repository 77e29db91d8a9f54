import type { Connection } from "./connection.ts";
import { fail } from "./connection.ts";
import { onFrame } from "./frame-handlers.ts";
import { ERROR_CODE, FRAME_HEAD_BYTES, MAX_FRAME_BYTES, PREFACE } from "./frames.ts";

const NOTHING: Buffer = Buffer.alloc(0);

/** Cuts what comes of a connection into frames, behind the preface (RFC 9113 §3.4, §4.1). */
export function createFrameParser(connection: Connection): (chunk: Buffer) => void {
  let rest = NOTHING;
  let isPrefaced = false;
  return (chunk) => {
    if (connection.isOver) return;
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    if (!isPrefaced) {
      const seen = Math.min(bytes.length, PREFACE.length);
      if (bytes.compare(PREFACE, 0, seen, 0, seen) !== 0) {
        fail(connection, ERROR_CODE.PROTOCOL_ERROR);
        return;
      }
      isPrefaced = seen === PREFACE.length;
      at = isPrefaced ? seen : 0;
    }
    rest = isPrefaced ? parseFrames(connection, bytes, at) : bytes;
  };
}

/** Takes all frames that have come whole. Gives what there is of the next one. */
function parseFrames(connection: Connection, bytes: Buffer, start: number): Buffer {
  let at = start;
  while (bytes.length - at >= FRAME_HEAD_BYTES) {
    const length = bytes.readUIntBE(at, 3);
    const from = at + FRAME_HEAD_BYTES;
    if (length <= MAX_FRAME_BYTES && bytes.length < from + length) break;
    const why =
      length > MAX_FRAME_BYTES
        ? ERROR_CODE.FRAME_SIZE_ERROR
        : onFrame(connection, bytes, from, from + length);
    if (why !== undefined) fail(connection, why);
    if (connection.isOver) break;
    at = from + length;
  }
  // A copy: a view would keep all that was read with it, of each connection.
  return at === bytes.length ? NOTHING : Buffer.from(bytes.subarray(at));
}
