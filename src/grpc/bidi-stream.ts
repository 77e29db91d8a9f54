import type { Stream } from "../http2/server.ts";
import {
  countBuffered,
  ERROR_CODE,
  hasPendingData,
  replenishWindow,
  sendReset,
  unsentBytes,
} from "../http2/server.ts";
import { createByteQueue } from "./byte-queue.ts";
import { FRAME_HEAD_BYTES } from "./message-frame.ts";
import { endResponse, rejectCall, sendMessage, startResponse } from "./responses.ts";
import { UNDECODABLE_MESSAGE } from "./status.ts";

/** A reflection request holds one name. */
const MAX_REQUEST_BYTES = 4096;

/** No further request is handled while more bytes than this wait in the socket. */
const WRITE_HIGH_WATER_MARK_BYTES = 256 * 1024;

/**
 * Serves a bidirectional stream. Applies backpressure: it sends the next response only after the client has taken the previous
 * one.
 * @param respond throws if the message does not decode
 */
export function serveBidiStream(
  stream: Stream,
  respond: (request: Buffer) => Uint8Array,
  onClose: () => void,
): void {
  const queue = createByteQueue();
  let isStarted = false;
  const start = () => {
    if (!isStarted) startResponse(stream);
    isStarted = true;
  };
  const count = countBody(stream, onClose);
  const processBuffered = () => {
    while (!isBackpressured(stream) && stream.state !== "closed") {
      const buffered = queue.bytes();
      if (buffered.length < FRAME_HEAD_BYTES) break;
      const end = FRAME_HEAD_BYTES + buffered.readUInt32BE(1);
      const isValid = buffered[0] === 0 && end <= FRAME_HEAD_BYTES + MAX_REQUEST_BYTES;
      if (isValid && buffered.length < end) break;
      const response = isValid ? tryRespond(respond, buffered.subarray(FRAME_HEAD_BYTES, end)) : undefined;
      if (response === undefined) {
        if (!isStarted) rejectCall(stream, UNDECODABLE_MESSAGE);
        // The client may send more requests, which are not awaited.
        return sendReset(stream, ERROR_CODE.NO_ERROR);
      }
      queue.remove(end);
      start();
      sendMessage(stream, response);
    }
    if (stream.state === "closed") return;
    count.set(queue.bytes().length);
    stream.isPaused = isBackpressured(stream);
    if (stream.isPaused) return;
    if (stream.state !== "half-closed (remote)") return replenishWindow(stream);
    start();
    endResponse(stream);
  };
  stream.onDrain = processBuffered;
  stream.onBody = (_stream, piece) => {
    queue.push(piece);
    count.set(count.bytes() + piece.length);
    if (stream.state === "closed") return;
    if (count.isOverLimit()) sendReset(stream, ERROR_CODE.ENHANCE_YOUR_CALM);
    else if (!stream.isPaused) processBuffered();
  };
}

/** Counts the buffered requests against the limits of the connection and of the process. */
function countBody(stream: Stream, onClose: () => void) {
  const count = countBuffered(stream);
  stream.onClose = () => {
    count.set(0);
    onClose();
  };
  stream.onBodyRejected = () => sendReset(stream, ERROR_CODE.ENHANCE_YOUR_CALM);
  return count;
}

/** Whether responses wait for the client: for its windows, or in the socket. */
function isBackpressured(stream: Stream): boolean {
  return hasPendingData(stream) || unsentBytes(stream) > WRITE_HIGH_WATER_MARK_BYTES;
}

function tryRespond(respond: (request: Buffer) => Uint8Array, request: Buffer): Uint8Array | undefined {
  try {
    return respond(request);
  } catch {
    return undefined; // Only an undecodable message throws.
  }
}
