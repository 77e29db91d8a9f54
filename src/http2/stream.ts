import type { Connection } from "./connection.ts";
import { closeIfDone } from "./connection.ts";
import type { ErrorCode } from "./frames.ts";
import {
  ERROR_CODE,
  FLAG,
  FRAME,
  FRAME_HEAD_BYTES,
  MAX_FRAME_BYTES,
  numbers,
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
  bytesToCome: number | undefined;
  /** Its caller has sent all. */
  hasAsked: boolean;
  /** All of our answer is written, or waits for room. */
  hasAnswered: boolean;
  /** Nothing more comes of it, or goes to it. */
  isOver: boolean;
  /** By the clock of the connection: then it is cut off. */
  endMs: number;
  /** What has come of its body, where the receiver keeps it until there is all: so many bytes, in a buffer that may be larger. */
  body: Buffer | undefined;
  bodyBytes: number;
  /** What is wrong with it is answered, not reset. */
  answersFault: boolean;
  /** Frees what is kept of its body, and denies it: it is malformed, or all calls together keep too much. */
  giveUp: ((stream: Stream) => void) | undefined;
  /** DATA for which the other side has no room yet. */
  waiting: Buffer[] | undefined;
  waitingBytes: number;
  /** Header block that ends the answer, behind what waits. */
  trailers: Buffer | undefined;
  closed: (() => void) | undefined;
  /** All that was written of the answer is on its way, so that there may be more of it. */
  drained: (() => void) | undefined;
}

/** Answers of all calls of a connection, as long as their caller gives them no room. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;
/** Calls that we reset, of which a connection remembers that it did. */
const MAX_RESET_IDS = 1024;
const TABLE_SIZE_0 = Buffer.of(0x20);

export function sendHead(stream: Stream, block: Buffer, isEnd: boolean): void {
  if (stream.isOver || stream.hasAnswered) return;
  writeBlock(stream, block, isEnd ? FLAG.END_STREAM : 0);
  stream.connection.output.flushSoon();
  if (isEnd) answered(stream);
}

function writeBlock({ connection, id }: Stream, block: Buffer, flags: number): void {
  // The other side waits for a word about the table that it made smaller (RFC 7541 §4.2): we use none of it.
  const told = connection.mustTellTableSize ? Buffer.concat([TABLE_SIZE_0, block]) : block;
  connection.mustTellTableSize = false;
  connection.output.frame(FRAME.HEADERS, FLAG.END_HEADERS | flags, id, told);
}

/** Bytes of the answer's body: written as far as the other side has room for them. */
export function sendData(stream: Stream, bytes: Buffer): void {
  if (stream.isOver || stream.hasAnswered) return;
  const { connection } = stream;
  stream.waiting ??= [];
  stream.waiting.push(bytes);
  stream.waitingBytes += bytes.length;
  connection.waitingBytes += bytes.length;
  sendWaiting(stream);
  if (connection.waitingBytes > MAX_WAITING_BYTES) cutOff(stream, ERROR_CODE.ENHANCE_YOUR_CALM);
}

/** Ends the answer, once all of its body is written. */
export function sendTrailers(stream: Stream, block: Buffer): void {
  if (stream.isOver || stream.hasAnswered) return;
  stream.trailers = block;
  sendWaiting(stream);
}

export function isWaiting(stream: Stream): boolean {
  return stream.waiting !== undefined && stream.waiting.length > 0;
}

/** To be called whenever there is more room. Tells who has more to send once nothing waits. */
export function sendOn(stream: Stream): void {
  if (!isWaiting(stream)) return;
  sendWaiting(stream);
  if (!isWaiting(stream) && !stream.hasAnswered) stream.drained?.();
}

/** Writes what waits, as far as there is room. */
function sendWaiting(stream: Stream): void {
  const { connection } = stream;
  while (isWaiting(stream)) {
    const [first] = stream.waiting ?? [];
    const bytes = Math.min(first?.length ?? 0, connection.sendWindow, stream.sendWindow, MAX_FRAME_BYTES);
    if (first === undefined || (bytes <= 0 && first.length > 0)) break;
    connection.output.frame(FRAME.DATA, 0, stream.id, first.subarray(0, bytes));
    connection.sendWindow -= bytes;
    stream.sendWindow -= bytes;
    connection.waitingBytes -= bytes;
    stream.waitingBytes -= bytes;
    if (bytes === first.length) stream.waiting?.shift();
    else stream.waiting?.splice(0, 1, first.subarray(bytes));
  }
  connection.output.flushSoon();
  connection.load.waiting.set(stream, stream.waitingBytes);
  if (stream.isOver || isWaiting(stream) || stream.trailers === undefined) return;
  writeBlock(stream, stream.trailers, FLAG.END_STREAM);
  answered(stream);
}

function answered(stream: Stream): void {
  stream.hasAnswered = true;
  if (stream.hasAsked) forget(stream);
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
  if (stream.isOver || stream.hasAnswered) return;
  const room = Math.min(MAX_FRAME_BYTES, connection.sendWindow, stream.sendWindow);
  if (bytes > room || connection.mustTellTableSize) {
    sendHead(stream, head, false);
    sendData(stream, Buffer.concat([prefix, message]));
    sendTrailers(stream, trailers);
    return;
  }
  connection.sendWindow -= bytes;
  const size = 3 * FRAME_HEAD_BYTES + head.length + bytes + trailers.length;
  const { buffer, at } = connection.output.room(size);
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
export function cutOff(stream: Stream, why: ErrorCode): void {
  if (stream.isOver) return;
  writeReset(stream.connection, stream.id, why);
  stream.connection.output.flushSoon();
  forget(stream);
}

/** Of a stream that is not idle. */
export function writeReset({ output, resetIds }: Connection, streamId: number, why: ErrorCode): void {
  output.frame(FRAME.RST_STREAM, 0, streamId, numbers(why));
  resetIds.add(streamId);
  if (resetIds.size <= MAX_RESET_IDS) return;
  const [oldest] = resetIds;
  if (oldest !== undefined) resetIds.delete(oldest);
}

/** Nothing more is known of it. */
export function forget(stream: Stream): void {
  if (stream.isOver) return;
  stream.isOver = true;
  stream.receive = undefined;
  const { connection } = stream;
  if (!stream.hasAsked) connection.load.unasked--;
  if (stream.waiting !== undefined) forgetWaiting(stream);
  connection.streams.delete(stream.id);
  stream.closed?.();
  closeIfDone(connection);
}

function forgetWaiting(stream: Stream): void {
  stream.connection.waitingBytes -= stream.waitingBytes;
  stream.connection.load.waiting.set(stream, 0);
  stream.waitingBytes = 0;
  stream.waiting = undefined;
}
