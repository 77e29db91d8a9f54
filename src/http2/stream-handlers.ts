import type { Connection } from "./connection.ts";
import { CONNECTION_WINDOW_BYTES, isIdle, MAX_UNASKED_CALLS } from "./connection.ts";
import type { ErrorCode, Frame } from "./frames.ts";
import { contentOf, ERROR_CODE, FIRST_WINDOW_BYTES, FLAG, FRAME, numbers } from "./frames.ts";
import type { HeadFault, RequestHead } from "./request-head.ts";
import { finishHead, finishTrailers, isHead } from "./request-head.ts";
import type { Stream } from "./stream.ts";
import { cutOff, forget, writeReset } from "./stream.ts";

const NOTHING = Buffer.alloc(0);
const FAULT_CODE: Readonly<Record<HeadFault, ErrorCode>> = {
  malformed: ERROR_CODE.PROTOCOL_ERROR,
  too_large: ERROR_CODE.ENHANCE_YOUR_CALM,
};

/** The head of a new call has come whole. */
export function takeCall(
  connection: Connection,
  streamId: number,
  isEndStream: boolean,
): ErrorCode | undefined {
  const { streams, ports, reading, load } = connection;
  const head = finishHead(reading);
  connection.lastStreamId = streamId;
  if (isPassedOver(connection, streamId)) return undefined;
  if (streams.size >= maxStreamsOf(connection))
    return resetStream(connection, streamId, ERROR_CODE.REFUSED_STREAM);
  const why = faultOf(head, isEndStream);
  const answersFault = ports.answersFault(head);
  if (why !== undefined && !answersFault) return resetStream(connection, streamId, why);
  connection.lastTakenId = streamId;
  const stream = newStream(connection, streamId, why === undefined ? head.contentLength : undefined);
  stream.answersFault = answersFault;
  streams.set(streamId, stream);
  load.unasked++;
  ports.called(stream, head);
  if (stream.isOver) return undefined;
  if (isEndStream) takePiece(stream, NOTHING, true);
  else if (load.unasked > MAX_UNASKED_CALLS) load.onTooManyUnasked();
  return undefined;
}

/** Our SETTINGS bind a caller from its acknowledgement on (RFC 9113 §6.5.3); a busy Envoy has opened calls before that. */
function maxStreamsOf({ hasAgreed, ports }: Connection): number {
  return hasAgreed ? ports.maxStreams : 4 * ports.maxStreams;
}

/** Why a call is to be reset at its head. */
function faultOf({ fault, contentLength }: RequestHead, isEndStream: boolean): ErrorCode | undefined {
  if (fault !== undefined) return FAULT_CODE[fault];
  return isEndStream && (contentLength ?? 0) !== 0 ? ERROR_CODE.PROTOCOL_ERROR : undefined;
}

/** What to do with a call whose body is not as long as its content-length says. */
function endWrongBody(stream: Stream, isLast: boolean): ErrorCode | undefined {
  if (!stream.answersFault) return resetStream(stream.connection, stream.id, ERROR_CODE.PROTOCOL_ERROR);
  stream.bytesToCome = undefined;
  stream.giveUp?.(stream);
  takePiece(stream, NOTHING, isLast);
  return undefined;
}

/** A call that is later than those that our GOAWAY tells of: its caller knows that it was not taken (RFC 9113 §6.8). */
function isPassedOver({ isEnding, lastTakenId }: Connection, streamId: number): boolean {
  return isEnding && streamId > lastTakenId;
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
    body: undefined,
    bodyBytes: 0,
    answersFault: false,
    giveUp: undefined,
    waiting: undefined,
    waitingBytes: 0,
    trailers: undefined,
    closed: undefined,
    drained: undefined,
  };
}

export function takeTrailers(
  connection: Connection,
  streamId: number,
  isEndStream: boolean,
): ErrorCode | undefined {
  const stream = connection.streams.get(streamId);
  const isNewHead = isHead(connection.reading);
  const fault = finishTrailers(connection.reading);
  if (connection.resetIds.has(streamId)) return undefined;
  // Trailers may have been on their way when the call ended. A new call has a number that is too low (RFC 9113 §5.1.1).
  if (stream === undefined && isNewHead) return ERROR_CODE.PROTOCOL_ERROR;
  if (isPassedOver(connection, streamId)) return undefined;
  if (stream === undefined || stream.hasAsked)
    return resetStream(connection, streamId, ERROR_CODE.STREAM_CLOSED);
  if (fault !== undefined) return resetStream(connection, streamId, FAULT_CODE[fault]);
  if (!isEndStream) return resetStream(connection, streamId, ERROR_CODE.PROTOCOL_ERROR);
  if ((stream.bytesToCome ?? 0) !== 0) return endWrongBody(stream, true);
  takePiece(stream, NOTHING, true);
  return undefined;
}

export function takeData(connection: Connection, frame: Frame): ErrorCode | undefined {
  const { streamId, flags, bytes } = frame;
  if (isIdle(connection, streamId)) return ERROR_CODE.PROTOCOL_ERROR;
  const content = contentOf(frame, 0);
  if (typeof content === "number") return content;
  // Padding counts as well (RFC 9113 §6.1).
  const size = frame.to - frame.from;
  countData(connection, size);
  if (isPassedOver(connection, streamId) || connection.resetIds.has(streamId)) return undefined;
  const stream = connection.streams.get(streamId);
  if (stream === undefined || stream.hasAsked)
    return resetStream(connection, streamId, ERROR_CODE.STREAM_CLOSED);
  if (size > stream.receiveWindow) return resetStream(connection, streamId, ERROR_CODE.FLOW_CONTROL_ERROR);
  stream.receiveWindow -= size;
  const isLast = (flags & FLAG.END_STREAM) !== 0;
  if (!fitsContentLength(stream, content.to - content.from, isLast)) return endWrongBody(stream, isLast);
  takePiece(stream, bytes.subarray(content.from, content.to), isLast);
  return undefined;
}

/** All calls together have room anew once half of it is used: it never ends, so nobody can send more. */
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
  if (isLast) {
    stream.hasAsked = true;
    stream.connection.load.unasked--;
  }
  if (piece.length > 0 || isLast) stream.receive?.(stream, piece, isLast);
  // Padding used its window, too.
  if (!isLast) giveRoom(stream);
  else if (stream.hasAnswered) forget(stream);
}

/**
 * More of a body may come, unless nobody takes it, or not now. The rest of a Check that was denied early is taken and
 * discarded: there are clients that read no response before they have sent all.
 */
export function giveRoom(stream: Stream): void {
  const used = FIRST_WINDOW_BYTES - stream.receiveWindow;
  const isTaken = stream.receive !== undefined || stream.answersFault;
  if (stream.isOver || !isTaken || stream.isPaused || used < FIRST_WINDOW_BYTES / 2) return;
  const { output } = stream.connection;
  output.frame(FRAME.WINDOW_UPDATE, 0, stream.id, numbers(used));
  output.flushSoon();
  stream.receiveWindow = FIRST_WINDOW_BYTES;
}

/** Ends a call, if it is one, that got what it should not. Gives why the connection has to end, if there were too many. */
export function resetStream(connection: Connection, streamId: number, why: ErrorCode): ErrorCode | undefined {
  if (!connection.mayReset()) return ERROR_CODE.ENHANCE_YOUR_CALM;
  const stream = connection.streams.get(streamId);
  if (stream !== undefined) cutOff(stream, why);
  else writeReset(connection, streamId, why);
  return undefined;
}
