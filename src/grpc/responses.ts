import { headerBlock } from "../http2/header-encoder.ts";
import type { Stream } from "../http2/stream.ts";
import { sendData, sendHead, sendTrailers, sendUnary } from "../http2/stream.ts";
import { FRAME_HEAD_BYTES, framed } from "./message-frame.ts";
import type { HttpRejection, RpcRejection } from "./status.ts";

const ANSWER_FIELDS = [
  [":status", "200"],
  ["content-type", "application/grpc"],
] as const;
const ANSWER_HEAD = headerBlock(ANSWER_FIELDS);
const OK_TRAILERS = headerBlock([["grpc-status", "0"]]);
/** The head of the message that is being written. */
const MESSAGE_HEAD = Buffer.alloc(FRAME_HEAD_BYTES);

/** Sends the one answer of a call. Does nothing when the caller has gone. */
export function sendUnaryResponse(stream: Stream, message: Uint8Array): void {
  MESSAGE_HEAD.writeUInt32BE(message.length, 1);
  sendUnary(stream, ANSWER_HEAD, MESSAGE_HEAD, message, OK_TRAILERS);
}

/** Opens an answer of any number of messages. */
export function startResponse(stream: Stream): void {
  sendHead(stream, ANSWER_HEAD, false);
}

export function sendMessage(stream: Stream, message: Uint8Array): void {
  sendData(stream, framed(message));
}

export function endResponse(stream: Stream): void {
  sendTrailers(stream, OK_TRAILERS);
}

/** Trailers only: one block of headers is the whole answer. */
export function rejectCall(stream: Stream, why: RpcRejection | HttpRejection): void {
  const block = refusals.get(why) ?? refusalBlock(why);
  refusals.set(why, block);
  sendHead(stream, block, true);
}

/** There are a few, which are constant: whoever asks for nothing else is answered by what is there. */
const refusals = new WeakMap<RpcRejection | HttpRejection, Buffer>();

function refusalBlock(why: RpcRejection | HttpRejection): Buffer {
  if ("httpStatus" in why) return headerBlock([[":status", String(why.httpStatus)]]);
  return headerBlock([
    ...ANSWER_FIELDS,
    ["grpc-status", String(why.status)],
    ["grpc-message", why.message],
    ["grpc-accept-encoding", "identity"],
  ]);
}
