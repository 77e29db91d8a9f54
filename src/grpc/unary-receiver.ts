import type { Receive, Stream } from "../http2/stream.ts";
import type { Received } from "./message-frame.ts";
import { FRAME_HEAD_BYTES, OVERSIZED, readFrame } from "./message-frame.ts";
import { MAX_MESSAGE_BYTES } from "./transport.ts";

const MAX_BYTES = MAX_MESSAGE_BYTES + FRAME_HEAD_BYTES;
/** What one connection may have half-sent: 280 Checks of 60 KB at a time. All together have a bound, too (`Load`). */
export const MAX_CONNECTION_BYTES = 16 * 1024 * 1024;
const NOTHING = Buffer.alloc(0);

/** Waits for the one message of a unary call. Calls back once, and never for a call that ends before it has come whole. */
export function receiveUnary(
  received: (what: Received, stream: Stream) => void,
): Pick<Stream, "receive" | "giveUp"> {
  const giveUp = (stream: Stream) => {
    release(stream);
    if (stream.receive === undefined) return;
    stream.receive = undefined;
    received(OVERSIZED, stream);
  };
  const receive: Receive = (stream, piece, isLast) => {
    // A message usually comes in one piece, which is then taken as it is.
    if (isLast && stream.bodyBytes === 0) return received(readFrame(piece, MAX_MESSAGE_BYTES), stream);
    const size = stream.bodyBytes + piece.length;
    if (size > MAX_BYTES) return giveUp(stream);
    while (stream.connection.bufferedBytes + piece.length > MAX_CONNECTION_BYTES) {
      const largest = largestOf(stream);
      largest.giveUp?.(largest);
      if (largest === stream) return;
    }
    stream.body = appended(stream.body ?? NOTHING, stream.bodyBytes, piece);
    stream.bodyBytes = size;
    stream.connection.bufferedBytes += piece.length;
    stream.onClose ??= () => release(stream);
    if (!isLast) {
      stream.connection.load.held.set(stream, stream.body.length);
      return;
    }
    const whole = readFrame(stream.body.subarray(0, size), MAX_MESSAGE_BYTES);
    release(stream);
    received(whole, stream);
  };
  return { receive, giveUp };
}

/** The call of a connection that has most of what is half-sent: those with small messages need not make way for it. */
function largestOf(stream: Stream): Stream {
  let largest = stream;
  for (const other of stream.connection.streams.values())
    if (other.bodyBytes > largest.bodyBytes) largest = other;
  return largest;
}

function release(stream: Stream): void {
  const { connection } = stream;
  connection.bufferedBytes -= stream.bodyBytes;
  connection.load.held.set(stream, 0);
  stream.bodyBytes = 0;
  stream.body = undefined;
}

/** In a buffer that doubles: a message in a thousand pieces is not copied a thousand times. */
function appended(bytes: Buffer, size: number, piece: Buffer): Buffer {
  const needed = size + piece.length;
  const room = bytes.length >= needed ? bytes : Buffer.allocUnsafeSlow(2 * needed);
  if (room !== bytes) bytes.copy(room, 0, 0, size);
  piece.copy(room, size);
  return room;
}
