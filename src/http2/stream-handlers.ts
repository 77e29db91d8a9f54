import type { Connection } from "./connection.ts";
import { CONNECTION_WINDOW_BYTES, isIdle, MAX_UNASKED_CALLS } from "./connection.ts";
import type { ErrorCode, Frame } from "./frames.ts";
import { contentOf, ERROR_CODE, encodeUint32s, FLAG, FRAME, INITIAL_WINDOW_BYTES } from "./frames.ts";
import type { HeadFault, RequestHead } from "./request-head.ts";
import { finishHead, finishTrailers, isHead } from "./request-head.ts";
import type { Stream } from "./stream.ts";
import { closeStream, sendReset, writeReset } from "./stream.ts";

const NOTHING = Buffer.alloc(0);
const FAULT_CODE: Readonly<Record<HeadFault, ErrorCode>> = {
  malformed: ERROR_CODE.PROTOCOL_ERROR,
  too_large: ERROR_CODE.ENHANCE_YOUR_CALM,
};

/** The head of a new call has come whole. */
export function openStream(
  connection: Connection,
  streamId: number,
  isEndStream: boolean,
): ErrorCode | undefined {
  const { streams, ports, reading, load } = connection;
  const head = finishHead(reading);
  connection.highestOpenedStreamId = streamId;
  if (isBeyondGoaway(connection, streamId)) return undefined;
  if (streams.size >= maxStreamsOf(connection))
    return resetWithinBudget(connection, streamId, ERROR_CODE.REFUSED_STREAM);
  const why = faultOf(head, isEndStream);
  const answersFault = ports.answersFault(head);
  if (why !== undefined && !answersFault) return resetWithinBudget(connection, streamId, why);
  connection.lastProcessedStreamId = streamId;
  const stream = newStream(connection, streamId, why === undefined ? head.contentLength : undefined);
  stream.answersFault = answersFault;
  streams.set(streamId, stream);
  load.unasked++;
  ports.onRequest(stream, head);
  if (stream.isClosed) return undefined;
  if (isEndStream) deliverData(stream, NOTHING, true);
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
  if (!stream.answersFault) return resetWithinBudget(stream.connection, stream.id, ERROR_CODE.PROTOCOL_ERROR);
  stream.remainingContentLength = undefined;
  stream.giveUp?.(stream);
  deliverData(stream, NOTHING, isLast);
  return undefined;
}

/** A call that is later than those that our GOAWAY tells of: its caller knows that it was not taken (RFC 9113 §6.8). */
function isBeyondGoaway(
  { isDraining: isEnding, lastProcessedStreamId: lastTakenId }: Connection,
  streamId: number,
): boolean {
  return isEnding && streamId > lastTakenId;
}

function newStream(connection: Connection, id: number, bytesToCome: number | undefined): Stream {
  return {
    id,
    connection,
    receive: undefined,
    sendWindow: connection.initialSendWindow,
    receiveWindow: INITIAL_WINDOW_BYTES,
    isPaused: false,
    remainingContentLength: bytesToCome,
    halfClosedRemote: false,
    halfClosedLocal: false,
    isClosed: false,
    deadlineMs: Number.POSITIVE_INFINITY,
    body: undefined,
    bodyBytes: 0,
    answersFault: false,
    giveUp: undefined,
    pendingData: undefined,
    waitingBytes: 0,
    trailers: undefined,
    onClose: undefined,
    onDrain: undefined,
  };
}

export function onTrailers(
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
  if (isBeyondGoaway(connection, streamId)) return undefined;
  if (stream === undefined || stream.halfClosedRemote)
    return resetWithinBudget(connection, streamId, ERROR_CODE.STREAM_CLOSED);
  if (fault !== undefined) return resetWithinBudget(connection, streamId, FAULT_CODE[fault]);
  if (!isEndStream) return resetWithinBudget(connection, streamId, ERROR_CODE.PROTOCOL_ERROR);
  if ((stream.remainingContentLength ?? 0) !== 0) return endWrongBody(stream, true);
  deliverData(stream, NOTHING, true);
  return undefined;
}

export function onData(connection: Connection, frame: Frame): ErrorCode | undefined {
  const { streamId, flags, bytes } = frame;
  if (isIdle(connection, streamId)) return ERROR_CODE.PROTOCOL_ERROR;
  const content = contentOf(frame, 0);
  if (typeof content === "number") return content;
  // Padding counts as well (RFC 9113 §6.1).
  const size = frame.to - frame.from;
  consumeConnectionWindow(connection, size);
  if (isBeyondGoaway(connection, streamId) || connection.resetIds.has(streamId)) return undefined;
  const stream = connection.streams.get(streamId);
  if (stream === undefined || stream.halfClosedRemote)
    return resetWithinBudget(connection, streamId, ERROR_CODE.STREAM_CLOSED);
  if (size > stream.receiveWindow)
    return resetWithinBudget(connection, streamId, ERROR_CODE.FLOW_CONTROL_ERROR);
  stream.receiveWindow -= size;
  const isLast = (flags & FLAG.END_STREAM) !== 0;
  if (!fitsContentLength(stream, content.to - content.from, isLast)) return endWrongBody(stream, isLast);
  deliverData(stream, bytes.subarray(content.from, content.to), isLast);
  return undefined;
}

/** All calls together have room anew once half of it is used: it never ends, so nobody can send more. */
function consumeConnectionWindow(connection: Connection, size: number): void {
  connection.receiveWindow -= size;
  const used = CONNECTION_WINDOW_BYTES - connection.receiveWindow;
  if (used < CONNECTION_WINDOW_BYTES / 2) return;
  connection.output.frame(FRAME.WINDOW_UPDATE, 0, 0, encodeUint32s(used));
  connection.receiveWindow = CONNECTION_WINDOW_BYTES;
}

function fitsContentLength(stream: Stream, size: number, isLast: boolean): boolean {
  if (stream.remainingContentLength === undefined) return true;
  stream.remainingContentLength -= size;
  return isLast ? stream.remainingContentLength === 0 : stream.remainingContentLength >= 0;
}

function deliverData(stream: Stream, piece: Buffer, isLast: boolean): void {
  if (isLast) {
    stream.halfClosedRemote = true;
    stream.connection.load.unasked--;
  }
  if (piece.length > 0 || isLast) stream.receive?.(stream, piece, isLast);
  // Padding used its window, too.
  if (!isLast) replenishWindow(stream);
  else if (stream.halfClosedLocal) closeStream(stream);
}

/**
 * More of a body may come, unless nobody takes it, or not now. The rest of a Check that was denied early is taken and
 * discarded: there are clients that read no response before they have sent all.
 */
export function replenishWindow(stream: Stream): void {
  const used = INITIAL_WINDOW_BYTES - stream.receiveWindow;
  const isTaken = stream.receive !== undefined || stream.answersFault;
  if (stream.isClosed || !isTaken || stream.isPaused || used < INITIAL_WINDOW_BYTES / 2) return;
  const { output } = stream.connection;
  output.frame(FRAME.WINDOW_UPDATE, 0, stream.id, encodeUint32s(used));
  output.flushSoon();
  stream.receiveWindow = INITIAL_WINDOW_BYTES;
}

/** Ends a call, if it is one, that got what it should not. Gives why the connection has to end, if there were too many. */
export function resetWithinBudget(
  connection: Connection,
  streamId: number,
  why: ErrorCode,
): ErrorCode | undefined {
  if (!connection.resetBudget()) return ERROR_CODE.ENHANCE_YOUR_CALM;
  const stream = connection.streams.get(streamId);
  if (stream !== undefined) sendReset(stream, why);
  else writeReset(connection, streamId, why);
  return undefined;
}
