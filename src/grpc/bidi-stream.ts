import { ERROR_CODE } from "../http2/frames.ts";
import type { Stream } from "../http2/stream.ts";
import { cutOff, isWaiting } from "../http2/stream.ts";
import { giveRoom } from "../http2/stream-handlers.ts";
import { FRAME_HEAD_BYTES } from "./message-frame.ts";
import { addAnswer, beginAnswers, endAnswers, refuse } from "./responses.ts";
import type { RpcRefusal } from "./status.ts";
import { RPC_STATUS } from "./status.ts";
import { MAX_CONNECTION_BYTES } from "./unary-receiver.ts";

/** A question is a name; nothing longer is waited for. */
const MAX_QUESTION_BYTES = 4096;

/** While so much is on its way out, nothing more is answered. */
const MAX_UNTAKEN_BYTES = 256 * 1024;

const NO_QUESTION: RpcRefusal = { status: RPC_STATUS.INTERNAL, message: "the message does not decode" };

/** A call of questions and answers, as many as its caller likes: none is answered before the last answer is taken. */
export function talk(stream: Stream, answer: (question: Buffer) => Uint8Array, closed: () => void): void {
  let held: Buffer = Buffer.alloc(0);
  /** What came while it was not listened to. */
  let pieces: Buffer[] = [];
  let begun = false;
  const begin = () => {
    if (!begun) beginAnswers(stream);
    begun = true;
  };
  const counted = countHeld(stream, closed);
  const goOn = () => {
    held = Buffer.concat([held, ...pieces]);
    pieces = [];
    while (held.length >= FRAME_HEAD_BYTES && !isBehind(stream) && !stream.isOver) {
      const end = FRAME_HEAD_BYTES + held.readUInt32BE(1);
      const known = held[0] === 0 && end <= FRAME_HEAD_BYTES + MAX_QUESTION_BYTES;
      if (known && held.length < end) break;
      const said = known ? answered(answer, held.subarray(FRAME_HEAD_BYTES, end)) : undefined;
      if (said === undefined) {
        if (!begun) refuse(stream, NO_QUESTION);
        // Its caller may go on asking: that is not waited for.
        return cutOff(stream, ERROR_CODE.NO_ERROR);
      }
      held = held.subarray(end);
      begin();
      addAnswer(stream, said);
    }
    if (stream.isOver) return;
    counted.add(held.length - counted.bytes());
    stream.isPaused = isBehind(stream);
    if (stream.isPaused) return;
    if (!stream.hasAsked) return giveRoom(stream);
    begin();
    endAnswers(stream);
  };
  stream.drained = goOn;
  stream.receive = (_stream, piece) => {
    pieces.push(Buffer.from(piece));
    counted.add(piece.length);
    if (stream.isOver) return;
    if (stream.connection.heldBytes > MAX_CONNECTION_BYTES) cutOff(stream, ERROR_CODE.ENHANCE_YOUR_CALM);
    else if (!stream.isPaused) goOn();
  };
}

/** Counts what is kept of a call among what its connection, and all together, have half-sent. */
function countHeld(stream: Stream, closed: () => void) {
  let bytes = 0;
  const add = (more: number) => {
    bytes += more;
    stream.connection.heldBytes += more;
    stream.connection.load.held.set(stream, bytes);
  };
  stream.closed = () => {
    add(-bytes);
    closed();
  };
  stream.giveUp = () => cutOff(stream, ERROR_CODE.ENHANCE_YOUR_CALM);
  return { add, bytes: () => bytes };
}

/** Whether answers wait for its caller, here or on the way out. */
function isBehind(stream: Stream): boolean {
  return isWaiting(stream) || stream.connection.socket.writableLength > MAX_UNTAKEN_BYTES;
}

function answered(answer: (question: Buffer) => Uint8Array, question: Buffer): Uint8Array | undefined {
  try {
    return answer(question);
  } catch {
    return undefined; // Only bytes that are no question throw.
  }
}
