import type { Stream } from "../http2/server.ts";
import { encodeHeaderBlock, sendData, sendHead, sendTrailers, sendUnary } from "../http2/server.ts";
import { encodeMessageFrame, FRAME_HEAD_BYTES } from "./message-frame.ts";
import type { HttpRejection, RpcRejection } from "./status.ts";

const RESPONSE_FIELDS = [
  [":status", "200"],
  ["content-type", "application/grpc"],
] as const;
const RESPONSE_HEAD = encodeHeaderBlock(RESPONSE_FIELDS);
const OK_TRAILERS = encodeHeaderBlock([["grpc-status", "0"]]);
/** Frame head of the message that is being written. */
const MESSAGE_HEAD = Buffer.alloc(FRAME_HEAD_BYTES);

/** Sends the response of a unary call. Does nothing if the stream is closed. */
export function sendUnaryResponse(stream: Stream, message: Uint8Array): void {
  MESSAGE_HEAD.writeUInt32BE(message.length, 1);
  sendUnary(stream, RESPONSE_HEAD, MESSAGE_HEAD, message, OK_TRAILERS);
}

/** Starts a response of any number of messages. */
export function startResponse(stream: Stream): void {
  sendHead(stream, RESPONSE_HEAD, false);
}

export function sendMessage(stream: Stream, message: Uint8Array): void {
  sendData(stream, encodeMessageFrame(message));
}

export function endResponse(stream: Stream): void {
  sendTrailers(stream, OK_TRAILERS);
}

/** Sends a response of a single header block ("Trailers-Only"). */
export function rejectCall(stream: Stream, rejection: RpcRejection | HttpRejection): void {
  const block = encodedRejections.get(rejection) ?? encodeRejection(rejection);
  encodedRejections.set(rejection, block);
  sendHead(stream, block, true);
}

/** Each of the few constant rejections is encoded once. */
const encodedRejections = new WeakMap<RpcRejection | HttpRejection, Buffer>();

function encodeRejection(rejection: RpcRejection | HttpRejection): Buffer {
  if ("httpStatus" in rejection) return encodeHeaderBlock([[":status", String(rejection.httpStatus)]]);
  return encodeHeaderBlock([
    ...RESPONSE_FIELDS,
    ["grpc-status", String(rejection.status)],
    ["grpc-message", rejection.message],
    ["grpc-accept-encoding", "identity"],
  ]);
}
