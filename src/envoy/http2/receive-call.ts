import type { Connection } from "./connection.ts";
import { CONNECTION_WINDOW_BYTES, mayReset } from "./connection.ts";
import type { ErrorCode } from "./frames.ts";
import { ERROR_CODE, FIRST_WINDOW_BYTES, FLAG, FRAME, numbers } from "./frames.ts";
import { CompressionError } from "./hpack.ts";
import type { HeadFault } from "./request-head.ts";
import { finishHead, finishTrailers } from "./request-head.ts";
import type { Stream } from "./stream.ts";
import { cutOff, forget } from "./stream.ts";

/** One frame; its payload stands from one place to another. */
export interface Frame {
  readonly flags: number;
  readonly streamId: number;
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;
}

/** Compressed bytes of one header block, and frames that it may come in (CVE-2024-27316). */
const MAX_BLOCK_BYTES = 32 * 1024;
const MAX_BLOCK_FRAMES = 16;
const PRIORITY_BYTES = 5;

const NOTHING = Buffer.alloc(0);
const FAULT_CODE: Readonly<Record<HeadFault, ErrorCode>> = {
  malformed: ERROR_CODE.PROTOCOL_ERROR,
  too_large: ERROR_CODE.ENHANCE_YOUR_CALM,
};

/** The payload without padding; undefined where there is more padding than payload. */
function unpadded({ flags, bytes, from, to }: Frame): Pick<Frame, "from" | "to"> | undefined {
  if ((flags & FLAG.PADDED) === 0) return { from, to };
  const padding = bytes[from] ?? 0;
  return from + 1 + padding > to ? undefined : { from: from + 1, to: to - padding };
}

export function takeHeaders(connection: Connection, frame: Frame): ErrorCode | undefined {
  const { streamId, flags, bytes } = frame;
  const content = unpadded(frame);
  if ((streamId & 1) === 0 || content === undefined) return ERROR_CODE.PROTOCOL_ERROR;
  const from = content.from + ((flags & FLAG.PRIORITY) === 0 ? 0 : PRIORITY_BYTES);
  if (from > content.to) return ERROR_CODE.FRAME_SIZE_ERROR;
  const piece = bytes.subarray(from, content.to);
  const isEndStream = (flags & FLAG.END_STREAM) !== 0;
  if ((flags & FLAG.END_HEADERS) !== 0) return takeBlock(connection, streamId, piece, isEndStream);
  // A copy: a view would keep all that was read with it.
  connection.block = { streamId, isEndStream, pieces: [Buffer.from(piece)], bytes: piece.length };
  return undefined;
}

export function takeContinuation(
  connection: Connection,
  { flags, bytes, from, to }: Frame,
): ErrorCode | undefined {
  const { block } = connection;
  if (block === undefined) return ERROR_CODE.PROTOCOL_ERROR;
  block.bytes += to - from;
  block.pieces.push(Buffer.from(bytes.subarray(from, to)));
  if (block.bytes > MAX_BLOCK_BYTES || block.pieces.length > MAX_BLOCK_FRAMES)
    return ERROR_CODE.ENHANCE_YOUR_CALM;
  if ((flags & FLAG.END_HEADERS) === 0) return undefined;
  connection.block = undefined;
  return takeBlock(connection, block.streamId, Buffer.concat(block.pieces), block.isEndStream);
}

/** A whole header block: the head of a new call, or trailers. */
function takeBlock(
  connection: Connection,
  streamId: number,
  block: Buffer,
  isEndStream: boolean,
): ErrorCode | undefined {
  try {
    // Whatever becomes of the call: the two sides' tables must stay the same.
    connection.hpack.decode(block, connection.field);
  } catch (error) {
    if (error instanceof CompressionError) return ERROR_CODE.COMPRESSION_ERROR;
    throw error;
  }
  return streamId > connection.lastStreamId
    ? takeCall(connection, streamId, isEndStream)
    : takeTrailers(connection, streamId, isEndStream);
}

function takeCall(connection: Connection, streamId: number, isEndStream: boolean): ErrorCode | undefined {
  const { streams, ports, reading } = connection;
  const head = finishHead(reading);
  connection.lastStreamId = streamId;
  if (connection.isEnding || streams.size >= ports.maxStreams)
    return refuseFrame(connection, streamId, ERROR_CODE.REFUSED_STREAM);
  if (typeof head === "string") return refuseFrame(connection, streamId, FAULT_CODE[head]);
  if (isEndStream && (head.contentLength ?? 0) !== 0)
    return refuseFrame(connection, streamId, ERROR_CODE.PROTOCOL_ERROR);
  const stream = newStream(connection, streamId, head.contentLength);
  streams.set(streamId, stream);
  ports.called(stream, head);
  if (isEndStream) takePiece(stream, NOTHING, true);
  return undefined;
}

function newStream(connection: Connection, id: number, bytesToCome: number | undefined): Stream {
  return {
    id,
    connection,
    receive: undefined,
    sendWindow: connection.firstSendWindow,
    receiveWindow: FIRST_WINDOW_BYTES,
    isPaused: false,
    bytesToCome,
    hasAsked: false,
    hasAnswered: false,
    isOver: false,
    endMs: Number.POSITIVE_INFINITY,
    deadlineMs: Number.POSITIVE_INFINITY,
    body: undefined,
    bodyBytes: 0,
    waiting: undefined,
    trailers: undefined,
    closed: undefined,
    drained: undefined,
  };
}

function takeTrailers(connection: Connection, streamId: number, isEndStream: boolean): ErrorCode | undefined {
  const fault = finishTrailers(connection.reading);
  const stream = connection.streams.get(streamId);
  if (stream === undefined || stream.hasAsked)
    return refuseFrame(connection, streamId, ERROR_CODE.STREAM_CLOSED);
  if (fault !== undefined) return resetStream(stream, FAULT_CODE[fault]);
  if (!isEndStream || (stream.bytesToCome ?? 0) !== 0) return resetStream(stream, ERROR_CODE.PROTOCOL_ERROR);
  takePiece(stream, NOTHING, true);
  return undefined;
}

export function takeData(connection: Connection, frame: Frame): ErrorCode | undefined {
  const { streamId, flags, bytes } = frame;
  const content = unpadded(frame);
  if (streamId === 0 || streamId > connection.lastStreamId || content === undefined)
    return ERROR_CODE.PROTOCOL_ERROR;
  // Padding counts as well (RFC 9113 §6.1).
  const size = frame.to - frame.from;
  if (size > connection.receiveWindow) return ERROR_CODE.FLOW_CONTROL_ERROR;
  countData(connection, size);
  const stream = connection.streams.get(streamId);
  if (stream === undefined || stream.hasAsked)
    return refuseFrame(connection, streamId, ERROR_CODE.STREAM_CLOSED);
  if (size > stream.receiveWindow) return resetStream(stream, ERROR_CODE.FLOW_CONTROL_ERROR);
  stream.receiveWindow -= size;
  const isLast = (flags & FLAG.END_STREAM) !== 0;
  if (!fitsContentLength(stream, content.to - content.from, isLast))
    return resetStream(stream, ERROR_CODE.PROTOCOL_ERROR);
  takePiece(stream, bytes.subarray(content.from, content.to), isLast);
  return undefined;
}

/** All calls together have room anew before they have none left. */
function countData(connection: Connection, size: number): void {
  connection.receiveWindow -= size;
  const used = CONNECTION_WINDOW_BYTES - connection.receiveWindow;
  if (used < CONNECTION_WINDOW_BYTES / 2) return;
  connection.output.frame(FRAME.WINDOW_UPDATE, 0, 0, numbers(used));
  connection.receiveWindow = CONNECTION_WINDOW_BYTES;
}

function fitsContentLength(stream: Stream, size: number, isLast: boolean): boolean {
  if (stream.bytesToCome === undefined) return true;
  stream.bytesToCome -= size;
  return isLast ? stream.bytesToCome === 0 : stream.bytesToCome >= 0;
}

function takePiece(stream: Stream, piece: Buffer, isLast: boolean): void {
  stream.hasAsked = isLast;
  stream.receive?.(stream, piece, isLast);
  if (!isLast) giveRoom(stream);
  else if (stream.hasAnswered) forget(stream);
}

/** More of a body may come, unless nobody takes it, or not now. */
export function giveRoom(stream: Stream): void {
  const used = FIRST_WINDOW_BYTES - stream.receiveWindow;
  if (stream.receive === undefined || stream.isPaused || used < FIRST_WINDOW_BYTES / 2) return;
  const { output } = stream.connection;
  output.frame(FRAME.WINDOW_UPDATE, 0, stream.id, numbers(used));
  output.flushSoon();
  stream.receiveWindow = FIRST_WINDOW_BYTES;
}

/** Answers a frame that is for no call, by a reset. Gives why the connection has to end, if there were too many. */
export function refuseFrame(connection: Connection, streamId: number, why: ErrorCode): ErrorCode | undefined {
  if (!mayReset(connection)) return ERROR_CODE.ENHANCE_YOUR_CALM;
  connection.output.frame(FRAME.RST_STREAM, 0, streamId, numbers(why));
  return undefined;
}

/** The same for a call that is open. */
export function resetStream(stream: Stream, why: ErrorCode): ErrorCode | undefined {
  if (!mayReset(stream.connection)) return ERROR_CODE.ENHANCE_YOUR_CALM;
  cutOff(stream, why);
  return undefined;
}
