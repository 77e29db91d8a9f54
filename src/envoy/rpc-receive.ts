import type { ServerHttp2Stream } from "node:http2";
import type { Received } from "./rpc-frame.ts";
import { FRAME_HEAD_BYTES, OVERSIZED, readFrame } from "./rpc-frame.ts";
import { MAX_MESSAGE_BYTES } from "./transport.ts";

const MAX_BYTES = MAX_MESSAGE_BYTES + FRAME_HEAD_BYTES;
/** What all callers together may have half-sent: beyond it a message counts as too long. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;
const NOTHING = Buffer.alloc(0);

/** Waits for the one message of a unary call. Tells once, and never of a call that ends before it has come whole. */
export type ReceiveMessage = (stream: ServerHttp2Stream, received: (what: Received) => void) => void;

export function createReceiver(maxHeldBytes = MAX_HELD_BYTES): ReceiveMessage {
  let heldBytes = 0;
  return (stream, received) => {
    let bytes: Buffer = NOTHING;
    let size = 0;
    let over = false;
    const release = () => {
      over = true;
      heldBytes -= size;
      size = 0;
      bytes = NOTHING;
    };
    stream.on("data", (chunk: Buffer) => {
      if (over) return;
      // A message usually comes in one piece, which is then taken as it is.
      bytes = size === 0 ? chunk : appended(bytes, size, chunk);
      size += chunk.length;
      heldBytes += chunk.length;
      if (size <= MAX_BYTES && heldBytes <= maxHeldBytes) return;
      release();
      received(OVERSIZED);
    });
    stream.on("end", () => {
      // A stream that is reset ends as well: what it brought was never the whole.
      if (over || stream.closed || stream.aborted) return;
      const whole = readFrame(bytes.subarray(0, size), MAX_MESSAGE_BYTES);
      release();
      received(whole);
    });
    stream.on("close", release);
  };
}

/** In a buffer that doubles: a message in a thousand pieces is not copied a thousand times. */
function appended(bytes: Buffer, size: number, chunk: Buffer): Buffer {
  const needed = size + chunk.length;
  const room = bytes.length >= needed ? bytes : Buffer.allocUnsafeSlow(2 * needed);
  if (room !== bytes) bytes.copy(room, 0, 0, size);
  chunk.copy(room, size);
  return room;
}
