import { ERROR_CODE } from "../http2/frames.ts";
import type { Stream } from "../http2/stream.ts";
import { hasPendingData, sendReset } from "../http2/stream.ts";
import { replenishWindow } from "../http2/stream-handlers.ts";
import { FRAME_HEAD_BYTES } from "./message-frame.ts";
import { endResponse, rejectCall, sendMessage, startResponse } from "./responses.ts";
import type { RpcRejection } from "./status.ts";
import { RPC_STATUS } from "./status.ts";
import { MAX_CONNECTION_BYTES } from "./unary-receiver.ts";

/** A question is a name; nothing longer is waited for. */
const MAX_REQUEST_BYTES = 4096;

/** While so much is on its way out, nothing more is answered. */
const WRITE_HIGH_WATER_MARK_BYTES = 256 * 1024;

const UNDECODABLE_MESSAGE: RpcRejection = {
  status: RPC_STATUS.INTERNAL,
  message: "the message does not decode",
};

/** A call of questions and answers, as many as its caller likes: none is answered before the last answer is taken. */
export function serveBidiStream(
  stream: Stream,
  answer: (question: Buffer) => Uint8Array,
  closed: () => void,
): void {
  let held: Buffer = Buffer.alloc(0);
  /** What came while it was not listened to. */
  let pieces: Buffer[] = [];
  let begun = false;
  const begin = () => {
    if (!begun) startResponse(stream);
    begun = true;
  };
  const counted = countHeld(stream, closed);
  const processBuffered = () => {
    held = Buffer.concat([held, ...pieces]);
    pieces = [];
    while (held.length >= FRAME_HEAD_BYTES && !isBackpressured(stream) && !stream.isClosed) {
      const end = FRAME_HEAD_BYTES + held.readUInt32BE(1);
      const known = held[0] === 0 && end <= FRAME_HEAD_BYTES + MAX_REQUEST_BYTES;
      if (known && held.length < end) break;
      const said = known ? answered(answer, held.subarray(FRAME_HEAD_BYTES, end)) : undefined;
      if (said === undefined) {
        if (!begun) rejectCall(stream, UNDECODABLE_MESSAGE);
        // Its caller may go on asking: that is not waited for.
        return sendReset(stream, ERROR_CODE.NO_ERROR);
      }
      held = held.subarray(end);
      begin();
      sendMessage(stream, said);
    }
    if (stream.isClosed) return;
    counted.add(held.length - counted.bytes());
    stream.isPaused = isBackpressured(stream);
    if (stream.isPaused) return;
    if (!stream.halfClosedRemote) return replenishWindow(stream);
    begin();
    endResponse(stream);
  };
  stream.onDrain = processBuffered;
  stream.receive = (_stream, piece) => {
    pieces.push(Buffer.from(piece));
    counted.add(piece.length);
    if (stream.isClosed) return;
    if (stream.connection.bufferedBytes > MAX_CONNECTION_BYTES)
      sendReset(stream, ERROR_CODE.ENHANCE_YOUR_CALM);
    else if (!stream.isPaused) processBuffered();
  };
}

/** Counts what is kept of a call among what its connection, and all together, have half-sent. */
function countHeld(stream: Stream, closed: () => void) {
  let bytes = 0;
  const add = (more: number) => {
    bytes += more;
    stream.connection.bufferedBytes += more;
    stream.connection.load.held.set(stream, bytes);
  };
  stream.onClose = () => {
    add(-bytes);
    closed();
  };
  stream.giveUp = () => sendReset(stream, ERROR_CODE.ENHANCE_YOUR_CALM);
  return { add, bytes: () => bytes };
}

/** Whether answers wait for its caller, here or on the way out. */
function isBackpressured(stream: Stream): boolean {
  return hasPendingData(stream) || stream.connection.socket.writableLength > WRITE_HIGH_WATER_MARK_BYTES;
}

function answered(answer: (question: Buffer) => Uint8Array, question: Buffer): Uint8Array | undefined {
  try {
    return answer(question);
  } catch {
    return undefined; // Only bytes that are no question throw.
  }
}
