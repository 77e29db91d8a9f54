import { isIdle } from "./connection.ts";
import type { Connection, Stream } from "./connection-state.ts";
import { consumeConnectionWindow, consumeStreamWindow, replenishWindow } from "./flow-control.ts";
import type { ErrorCode, Frame } from "./frames.ts";
import { contentOf, ERROR_CODE, FLAG } from "./frames.ts";
import type { HeadFault, RequestHead } from "./request-head.ts";
import { finishHead, hasPseudoField, trailersFault } from "./request-head.ts";
import { canReceive, createStream, halfCloseRemote, resetWithinBudget } from "./stream.ts";

const NO_BYTES = Buffer.alloc(0);
const FAULT_CODE: Readonly<Record<HeadFault, ErrorCode>> = {
  malformed: ERROR_CODE.PROTOCOL_ERROR,
  too_large: ERROR_CODE.ENHANCE_YOUR_CALM,
};

/** The head of a new request is complete. */
export function openStream(
  connection: Connection,
  streamId: number,
  isEndStream: boolean,
): ErrorCode | undefined {
  const { deps, load } = connection;
  const head = finishHead(connection.validator);
  connection.highestOpenedStreamId = streamId;
  if (isBeyondGoaway(connection, streamId)) return undefined;
  if (connection.streams.size >= maxStreamsOf(connection))
    return resetWithinBudget(connection, streamId, ERROR_CODE.REFUSED_STREAM);
  const code = headError(head, isEndStream);
  const handlesInvalid = deps.handlesInvalid(head);
  if (code !== undefined && !handlesInvalid) return resetWithinBudget(connection, streamId, code);
  connection.lastProcessedStreamId = streamId;
  const nowMs = deps.nowMs();
  connection.lastRequestMs = nowMs;
  const contentLength = code === undefined ? head.contentLength : undefined;
  const stream = createStream(connection, streamId, contentLength, handlesInvalid, nowMs + deps.maxRequestMs);
  deps.onRequest(stream, head, nowMs);
  if (stream.state === "closed") return undefined;
  if (isEndStream) deliverData(stream, NO_BYTES, true);
  else if (load.incompleteRequests > load.limits.incompleteRequests) load.onTooManyIncomplete();
  return undefined;
}

/** Our SETTINGS bind a client once it has acknowledged them (RFC 9113 §6.5.3). A busy Envoy opens many streams before that. */
function maxStreamsOf({ settingsAcknowledged, deps }: Connection): number {
  return settingsAcknowledged ? deps.maxStreams : 4 * deps.maxStreams;
}

function headError({ fault, contentLength }: RequestHead, isEndStream: boolean): ErrorCode | undefined {
  if (fault !== undefined) return FAULT_CODE[fault];
  return isEndStream && (contentLength ?? 0) !== 0 ? ERROR_CODE.PROTOCOL_ERROR : undefined;
}

/** Ends a request whose body is longer or shorter than its content-length (RFC 9113 §8.1.1). */
function rejectBody(stream: Stream, isLast: boolean): ErrorCode | undefined {
  if (!stream.handlesInvalid)
    return resetWithinBudget(stream.connection, stream.id, ERROR_CODE.PROTOCOL_ERROR);
  stream.remainingContentLength = undefined;
  stream.onBodyRejected?.(stream);
  deliverData(stream, NO_BYTES, isLast);
  return undefined;
}

/** A stream above the last id of our GOAWAY: the client knows that it was not processed (RFC 9113 §6.8). */
function isBeyondGoaway({ isDraining, lastProcessedStreamId }: Connection, streamId: number): boolean {
  return isDraining && streamId > lastProcessedStreamId;
}

export function onTrailers(
  connection: Connection,
  streamId: number,
  isEndStream: boolean,
): ErrorCode | undefined {
  const { validator, streams, resetIds } = connection;
  const stream = streams.get(streamId);
  const fault = trailersFault(validator);
  if (resetIds.has(streamId)) return undefined;
  // Trailers may still arrive after their stream was closed. A request head here means that its stream id is too low (RFC 9113 §5.1.1).
  if (stream === undefined && hasPseudoField(validator)) return ERROR_CODE.PROTOCOL_ERROR;
  if (isBeyondGoaway(connection, streamId)) return undefined;
  if (stream === undefined || !canReceive(stream))
    return resetWithinBudget(connection, streamId, ERROR_CODE.STREAM_CLOSED);
  if (fault !== undefined) return resetWithinBudget(connection, streamId, FAULT_CODE[fault]);
  if (!isEndStream) return resetWithinBudget(connection, streamId, ERROR_CODE.PROTOCOL_ERROR);
  if ((stream.remainingContentLength ?? 0) !== 0) return rejectBody(stream, true);
  deliverData(stream, NO_BYTES, true);
  return undefined;
}

export function onData(connection: Connection, frame: Frame): ErrorCode | undefined {
  const { streamId, flags, bytes } = frame;
  if (isIdle(connection, streamId)) return ERROR_CODE.PROTOCOL_ERROR;
  const content = contentOf(frame, 0);
  if (typeof content === "number") return content;
  // Flow control counts the padding as well (RFC 9113 §6.1).
  const frameBytes = frame.to - frame.from;
  consumeConnectionWindow(connection, frameBytes);
  if (isBeyondGoaway(connection, streamId) || connection.resetIds.has(streamId)) return undefined;
  const stream = connection.streams.get(streamId);
  if (stream === undefined || !canReceive(stream))
    return resetWithinBudget(connection, streamId, ERROR_CODE.STREAM_CLOSED);
  if (!consumeStreamWindow(stream, frameBytes))
    return resetWithinBudget(connection, streamId, ERROR_CODE.FLOW_CONTROL_ERROR);
  const isLast = (flags & FLAG.END_STREAM) !== 0;
  if (!fitsContentLength(stream, content.to - content.from, isLast)) return rejectBody(stream, isLast);
  deliverData(stream, bytes.subarray(content.from, content.to), isLast);
  return undefined;
}

function fitsContentLength(stream: Stream, bytes: number, isLast: boolean): boolean {
  if (stream.remainingContentLength === undefined) return true;
  stream.remainingContentLength -= bytes;
  return isLast ? stream.remainingContentLength === 0 : stream.remainingContentLength >= 0;
}

function deliverData(stream: Stream, piece: Buffer, isLast: boolean): void {
  if (isLast) halfCloseRemote(stream);
  if (piece.length > 0 || isLast) stream.onBody?.(stream, piece, isLast);
  // A frame of padding alone has used the window, too.
  if (!isLast) replenishWindow(stream);
}
