import type { Connection } from "./connection.ts";
import { closeIfDrained } from "./connection.ts";
import type { ErrorCode } from "./frames.ts";
import {
  ERROR_CODE,
  encodeUint32s,
  FLAG,
  FRAME,
  FRAME_HEAD_BYTES,
  MAX_FRAME_BYTES,
  writeFrameHead,
} from "./frames.ts";

/** Takes what comes of a call's body, piece by piece. */
export type Receive = (stream: Stream, piece: Buffer, isLast: boolean) => void;

/** One call on a connection (RFC 9113 §5): a record, for there is one to each Check. */
export interface Stream {
  readonly id: number;
  readonly connection: Connection;
  /** Undefined: what comes is for nobody. */
  receive: Receive | undefined;
  /** Bytes of DATA that we may send; below zero where the other side has made its windows smaller. */
  sendWindow: number;
  /** Bytes that its caller may send before it hears of more room. */
  receiveWindow: number;
  /** The caller hears of no more room. */
  isPaused: boolean;
  /** Bytes of its body that are to come by its `content-length`. */
  remainingContentLength: number | undefined;
  /** Its caller has sent all. */
  halfClosedRemote: boolean;
  /** All of our answer is written, or waits for room. */
  halfClosedLocal: boolean;
  /** Nothing more comes of it, or goes to it. */
  isClosed: boolean;
  /** By the clock of the connection: then it is cut off. */
  deadlineMs: number;
  /** What has come of its body, where the receiver keeps it until there is all: so many bytes, in a buffer that may be larger. */
  body: Buffer | undefined;
  bodyBytes: number;
  /** What is wrong with it is answered, not reset. */
  answersFault: boolean;
  /** Frees what is kept of its body, and denies it: it is malformed, or all calls together keep too much. */
  giveUp: ((stream: Stream) => void) | undefined;
  /** DATA for which the other side has no room yet. */
  pendingData: Buffer[] | undefined;
  waitingBytes: number;
  /** Header block that ends the answer, behind what waits. */
  trailers: Buffer | undefined;
  onClose: (() => void) | undefined;
  /** All that was written of the answer is on its way, so that there may be more of it. */
  onDrain: (() => void) | undefined;
}

/** Answers of all calls of a connection, as long as their caller gives them no room. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;
/** Calls that we reset, of which a connection remembers that it did. */
const MAX_RESET_IDS = 1024;
const TABLE_SIZE_0 = Buffer.of(0x20);

export function sendHead(stream: Stream, block: Buffer, isEnd: boolean): void {
  if (stream.isClosed || stream.halfClosedLocal) return;
  writeBlock(stream, block, isEnd ? FLAG.END_STREAM : 0);
  stream.connection.output.flushSoon();
  if (isEnd) answered(stream);
}

function writeBlock({ connection, id }: Stream, block: Buffer, flags: number): void {
  // The other side waits for a word about the table that it made smaller (RFC 7541 §4.2): we use none of it.
  const told = connection.tableSizeUpdatePending ? Buffer.concat([TABLE_SIZE_0, block]) : block;
  connection.tableSizeUpdatePending = false;
  connection.output.frame(FRAME.HEADERS, FLAG.END_HEADERS | flags, id, told);
}

/** Bytes of the answer's body: written as far as the other side has room for them. */
export function sendData(stream: Stream, bytes: Buffer): void {
  if (stream.isClosed || stream.halfClosedLocal) return;
  const { connection } = stream;
  stream.pendingData ??= [];
  stream.pendingData.push(bytes);
  stream.waitingBytes += bytes.length;
  connection.pendingBytes += bytes.length;
  flushPending(stream);
  if (connection.pendingBytes > MAX_WAITING_BYTES) sendReset(stream, ERROR_CODE.ENHANCE_YOUR_CALM);
}

/** Ends the answer, once all of its body is written. */
export function sendTrailers(stream: Stream, block: Buffer): void {
  if (stream.isClosed || stream.halfClosedLocal) return;
  stream.trailers = block;
  flushPending(stream);
}

export function hasPendingData(stream: Stream): boolean {
  return stream.pendingData !== undefined && stream.pendingData.length > 0;
}

/** To be called whenever there is more room. Tells who has more to send once nothing waits. */
export function resumeStream(stream: Stream): void {
  if (!hasPendingData(stream)) return;
  flushPending(stream);
  if (!hasPendingData(stream) && !stream.halfClosedLocal) stream.onDrain?.();
}

/** Writes what waits, as far as there is room. */
function flushPending(stream: Stream): void {
  const { connection } = stream;
  while (hasPendingData(stream)) {
    const [first] = stream.pendingData ?? [];
    const bytes = Math.min(first?.length ?? 0, connection.sendWindow, stream.sendWindow, MAX_FRAME_BYTES);
    if (first === undefined || (bytes <= 0 && first.length > 0)) break;
    connection.output.frame(FRAME.DATA, 0, stream.id, first.subarray(0, bytes));
    connection.sendWindow -= bytes;
    stream.sendWindow -= bytes;
    connection.pendingBytes -= bytes;
    stream.waitingBytes -= bytes;
    if (bytes === first.length) stream.pendingData?.shift();
    else stream.pendingData?.splice(0, 1, first.subarray(bytes));
  }
  connection.output.flushSoon();
  connection.load.waiting.set(stream, stream.waitingBytes);
  if (stream.isClosed || hasPendingData(stream) || stream.trailers === undefined) return;
  writeBlock(stream, stream.trailers, FLAG.END_STREAM);
  answered(stream);
}

function answered(stream: Stream): void {
  stream.halfClosedLocal = true;
  if (stream.halfClosedRemote) closeStream(stream);
  // What still comes is for nobody, and gets no more room.
  else stream.receive = undefined;
}

/** A whole answer of one message, in one piece where there is room for it: the way of every Check. */
export function sendUnary(
  stream: Stream,
  head: Buffer,
  prefix: Buffer,
  message: Uint8Array,
  trailers: Buffer,
): void {
  const { connection, id } = stream;
  const bytes = prefix.length + message.length;
  if (stream.isClosed || stream.halfClosedLocal) return;
  const room = Math.min(MAX_FRAME_BYTES, connection.sendWindow, stream.sendWindow);
  if (bytes > room || connection.tableSizeUpdatePending) {
    sendHead(stream, head, false);
    sendData(stream, Buffer.concat([prefix, message]));
    sendTrailers(stream, trailers);
    return;
  }
  connection.sendWindow -= bytes;
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
  answered(stream);
}

/** Ends a call half-way, and tells its caller why. */
export function sendReset(stream: Stream, why: ErrorCode): void {
  if (stream.isClosed) return;
  writeReset(stream.connection, stream.id, why);
  stream.connection.output.flushSoon();
  closeStream(stream);
}

/** Of a stream that is not idle. */
export function writeReset({ output, resetIds }: Connection, streamId: number, why: ErrorCode): void {
  output.frame(FRAME.RST_STREAM, 0, streamId, encodeUint32s(why));
  resetIds.add(streamId);
  if (resetIds.size <= MAX_RESET_IDS) return;
  const [oldest] = resetIds;
  if (oldest !== undefined) resetIds.delete(oldest);
}

/** Nothing more is known of it. */
export function closeStream(stream: Stream): void {
  if (stream.isClosed) return;
  stream.isClosed = true;
  stream.receive = undefined;
  const { connection } = stream;
  if (!stream.halfClosedRemote) connection.load.unasked--;
  if (stream.pendingData !== undefined) forgetWaiting(stream);
  connection.streams.delete(stream.id);
  stream.onClose?.();
  closeIfDrained(connection);
}

function forgetWaiting(stream: Stream): void {
  stream.connection.pendingBytes -= stream.waitingBytes;
  stream.connection.load.waiting.set(stream, 0);
  stream.waitingBytes = 0;
  stream.pendingData = undefined;
}
