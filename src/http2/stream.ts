import { closeIfDrained } from "./connection.ts";
import type { Connection, Stream } from "./connection-state.ts";
import type { ErrorCode } from "./frames.ts";
import { ERROR_CODE, encodeUint32s, FRAME, INITIAL_WINDOW_BYTES } from "./frames.ts";

/** Streams that the server has reset, and that a connection remembers. */
const MAX_RESET_IDS = 1024;

/** Opens a stream that was idle. */
export function createStream(
  connection: Connection,
  id: number,
  contentLength: number | undefined,
  handlesInvalid: boolean,
  deadlineMs: number,
): Stream {
  const stream: Stream = {
    id,
    connection,
    state: "open",
    deadlineMs,
    onBody: undefined,
    onBodyRejected: undefined,
    onClose: undefined,
    onDrain: undefined,
    handlesInvalid,
    remainingContentLength: contentLength,
    sendWindow: connection.initialSendWindow,
    receiveWindow: INITIAL_WINDOW_BYTES,
    isPaused: false,
    body: undefined,
    bodyBytes: 0,
    pendingData: undefined,
    pendingBytes: 0,
    trailers: undefined,
  };
  connection.streams.set(id, stream);
  connection.load.incompleteRequests++;
  return stream;
}

/** Whether the client may still send frames of the request. */
export function canReceive({ state }: Stream): boolean {
  return state === "open" || state === "half-closed (local)";
}

/** Whether the server may still send frames of the response. */
export function canSend({ state }: Stream): boolean {
  return state === "open" || state === "half-closed (remote)";
}

/** END_STREAM has been received. */
export function halfCloseRemote(stream: Stream): void {
  if (stream.state === "half-closed (local)") closeStream(stream);
  if (stream.state !== "open") return;
  stream.state = "half-closed (remote)";
  stream.connection.load.incompleteRequests--;
}

/** END_STREAM has been written. The rest of the body is discarded, and its window is not replenished. */
export function halfCloseLocal(stream: Stream): void {
  if (stream.state === "half-closed (remote)") closeStream(stream);
  if (stream.state !== "open") return;
  stream.state = "half-closed (local)";
  stream.onBody = undefined;
}

/** Closes a stream and drops its record. */
export function closeStream(stream: Stream): void {
  if (stream.state === "closed") return;
  const { connection } = stream;
  if (canReceive(stream)) connection.load.incompleteRequests--;
  stream.state = "closed";
  stream.onBody = undefined;
  if (stream.body !== undefined) releaseBody(stream);
  if (stream.pendingData !== undefined) discardPending(stream);
  connection.streams.delete(stream.id);
  stream.onClose?.();
  closeIfDrained(connection);
}

/** Frees what is buffered of an incomplete body. */
export function releaseBody(stream: Stream): void {
  const { connection } = stream;
  connection.bufferedBytes -= stream.bodyBytes;
  connection.load.buffered.set(stream, 0);
  stream.bodyBytes = 0;
  stream.body = undefined;
}

function discardPending(stream: Stream): void {
  stream.connection.pendingBytes -= stream.pendingBytes;
  stream.connection.load.pending.set(stream, 0);
  stream.connection.blockedStreams.delete(stream);
  stream.pendingBytes = 0;
  stream.pendingData = undefined;
}

/** Sends RST_STREAM and closes the stream. */
export function sendReset(stream: Stream, code: ErrorCode): void {
  if (stream.state === "closed") return;
  writeReset(stream.connection, stream.id, code);
  stream.connection.output.flushSoon();
  closeStream(stream);
}

/** Resets a stream that broke a rule. Returns the error that ends the connection if there were too many of those. */
export function resetWithinBudget(
  connection: Connection,
  streamId: number,
  code: ErrorCode,
): ErrorCode | undefined {
  if (!connection.resetBudget()) return ERROR_CODE.ENHANCE_YOUR_CALM;
  const stream = connection.streams.get(streamId);
  if (stream !== undefined) sendReset(stream, code);
  else writeReset(connection, streamId, code);
  return undefined;
}

/** The stream must not be idle (RFC 9113 §6.4). */
function writeReset({ output, resetIds }: Connection, streamId: number, code: ErrorCode): void {
  output.frame(FRAME.RST_STREAM, 0, streamId, encodeUint32s(code));
  resetIds.add(streamId);
  if (resetIds.size <= MAX_RESET_IDS) return;
  const [oldest] = resetIds;
  if (oldest !== undefined) resetIds.delete(oldest);
}

/** Reports an exception of an asynchronous handler, and ends the connection, as the exception of a synchronous one does. */
export function abortConnection({ connection }: Stream, error: unknown): void {
  connection.deps.onFault(error);
  connection.socket.destroy();
}

/** Bytes that the socket of this stream has not sent. */
export function unsentBytes({ connection }: Stream): number {
  return connection.socket.writableLength;
}
