import type { Connection, Stream } from "./connection-state.ts";
import { consumeSendWindow, sendableBytes } from "./flow-control.ts";
import { ERROR_CODE, FLAG, FRAME, FRAME_HEAD_BYTES, writeFrameHead } from "./frames.ts";
import { compact } from "./kept-bytes.ts";
import { canSend, halfCloseLocal, sendReset } from "./stream.ts";

/** A dynamic table size update to 0 (RFC 7541 §6.3): the server puts no field into the client's table. */
const TABLE_SIZE_0 = Buffer.of(0x20);

/** @param block an encoded header block */
export function sendHead(stream: Stream, block: Buffer, isEnd: boolean): void {
  if (!canSend(stream)) return;
  writeBlock(stream, block, isEnd ? FLAG.END_STREAM : 0);
  stream.connection.output.flushSoon();
  if (isEnd) halfCloseLocal(stream);
}

function writeBlock({ connection, id }: Stream, block: Buffer, flags: number): void {
  // The client waits for an acknowledgement of a table size that it has reduced (RFC 7541 §4.2).
  const payload = connection.tableSizeUpdatePending ? Buffer.concat([TABLE_SIZE_0, block]) : block;
  connection.tableSizeUpdatePending = false;
  connection.output.frame(FRAME.HEADERS, FLAG.END_HEADERS | flags, id, payload);
}

/** Sends bytes of the response body, as soon as the flow-control windows of the client permit. */
export function sendData(stream: Stream, bytes: Buffer): void {
  if (!canSend(stream)) return;
  const { connection } = stream;
  stream.pendingData ??= [];
  stream.pendingData.push(bytes);
  stream.pendingBytes += bytes.length;
  connection.pendingBytes += bytes.length;
  flushPending(stream);
  keepCompactly(stream, -1);
  if (connection.pendingBytes > connection.load.limits.pending.connection)
    sendReset(stream, ERROR_CODE.ENHANCE_YOUR_CALM);
}

/** Ends the response, after all of its body. */
export function sendTrailers(stream: Stream, block: Buffer): void {
  if (!canSend(stream)) return;
  stream.trailers = block;
  flushPending(stream);
}

export function hasPendingData({ pendingData }: Stream): boolean {
  return pendingData !== undefined && pendingData.length > 0;
}

/** Continues to send after a flow-control window has grown. Calls `onDrain` once nothing is pending. */
export function resumeStream(stream: Stream): void {
  if (!hasPendingData(stream)) return;
  flushPending(stream);
  notifyDrained(stream);
}

/** Calls `onDrain` unless DATA of the stream still waits for a window. */
export function notifyDrained(stream: Stream): void {
  if (!hasPendingData(stream) && canSend(stream)) stream.onDrain?.();
}

/**
 * Resumes the streams that wait for the connection's window. Called once for all frames that arrived together, because a client
 * may open the window byte by byte.
 */
export function flushBlocked(connection: Connection): void {
  const { blockedStreams } = connection;
  for (const stream of blockedStreams) {
    if (connection.sendWindow <= 0 || connection.isClosed) return;
    resumeStream(stream);
    if (!isBlocked(stream)) blockedStreams.delete(stream);
  }
}

/** Whether the stream has DATA to send, and only the window of its connection prevents that. */
function isBlocked(stream: Stream): boolean {
  return hasPendingData(stream) && stream.sendWindow > 0 && stream.connection.sendWindow <= 0;
}

/** @param at the index of a piece that may wait for long, as in `Array.prototype.at` */
function keepCompactly({ pendingData }: Stream, at: 0 | -1): void {
  const piece = pendingData?.at(at);
  if (piece !== undefined) pendingData?.splice(at, 1, compact(piece));
}

function flushPending(stream: Stream): void {
  const { connection } = stream;
  while (hasPendingData(stream)) {
    const [first] = stream.pendingData ?? [];
    const bytes = Math.min(first?.length ?? 0, sendableBytes(stream));
    if (first === undefined || (bytes <= 0 && first.length > 0)) break;
    // Counted first, because writing may end the connection: its client may not read.
    consumeSendWindow(stream, bytes);
    connection.pendingBytes -= bytes;
    stream.pendingBytes -= bytes;
    connection.output.frame(FRAME.DATA, 0, stream.id, first.subarray(0, bytes));
    if (bytes === first.length) stream.pendingData?.shift();
    else {
      stream.pendingData?.splice(0, 1, first.subarray(bytes));
      keepCompactly(stream, 0);
    }
  }
  if (isBlocked(stream)) connection.blockedStreams.add(stream);
  connection.output.flushSoon();
  connection.load.pending.set(stream, stream.pendingBytes);
  if (stream.state === "closed" || hasPendingData(stream) || stream.trailers === undefined) return;
  writeBlock(stream, stream.trailers, FLAG.END_STREAM);
  halfCloseLocal(stream);
}

/**
 * Sends a whole response: header block, body and trailers. Nearly every response goes this way, so it is written into one
 * reserved buffer if the flow-control windows permit.
 * @param prefix the start of the body, before `message`
 */
export function sendUnary(
  stream: Stream,
  head: Buffer,
  prefix: Buffer,
  message: Uint8Array,
  trailers: Buffer,
): void {
  if (!canSend(stream)) return;
  const { connection, id } = stream;
  const bytes = prefix.length + message.length;
  if (bytes > sendableBytes(stream) || connection.tableSizeUpdatePending) {
    sendHead(stream, head, false);
    sendData(stream, Buffer.concat([prefix, message]));
    sendTrailers(stream, trailers);
    return;
  }
  consumeSendWindow(stream, bytes);
  const size = 3 * FRAME_HEAD_BYTES + head.length + bytes + trailers.length;
  const { buffer, at } = connection.output.reserve(size);
  writeFrameHead(buffer, at, head.length, FRAME.HEADERS, FLAG.END_HEADERS, id);
  buffer.set(head, at + FRAME_HEAD_BYTES);
  const data = at + FRAME_HEAD_BYTES + head.length;
  writeFrameHead(buffer, data, bytes, FRAME.DATA, 0, id);
  buffer.set(prefix, data + FRAME_HEAD_BYTES);
  buffer.set(message, data + FRAME_HEAD_BYTES + prefix.length);
  const last = data + FRAME_HEAD_BYTES + bytes;
  writeFrameHead(buffer, last, trailers.length, FRAME.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM, id);
  buffer.set(trailers, last + FRAME_HEAD_BYTES);
  connection.output.flushSoon();
  halfCloseLocal(stream);
}
