import type { ServerHttp2Stream } from "node:http2";
import { framed } from "./rpc-frame.ts";
import type { HttpRefusal, RpcRefusal } from "./rpc-status.ts";

const ANSWER_HEAD = { ":status": 200, "content-type": "application/grpc" };
const ANSWER_OPTIONS = { waitForTrailers: true, sendDate: false };
const REFUSAL_OPTIONS = { endStream: true, sendDate: false };
const OK_TRAILERS = { "grpc-status": "0" };

/** Sends the one answer of a call. Does nothing when the caller has gone. */
export function answerRpc(stream: ServerHttp2Stream, message: Uint8Array): void {
  if (beginAnswers(stream)) stream.end(framed(message));
}

/** Opens an answer of any number of messages; the stream's end is its end. False when the caller has gone. */
export function beginAnswers(stream: ServerHttp2Stream): boolean {
  if (isOver(stream)) return false;
  stream.on("wantTrailers", sendOk);
  stream.respond(ANSWER_HEAD, ANSWER_OPTIONS);
  return true;
}

function sendOk(this: ServerHttp2Stream): void {
  this.sendTrailers(OK_TRAILERS);
}

/** Trailers only: one block of headers is the whole answer. */
export function refuse(stream: ServerHttp2Stream, why: RpcRefusal | HttpRefusal): void {
  if (isOver(stream)) return;
  const head =
    "httpStatus" in why
      ? { ":status": why.httpStatus }
      : {
          ...ANSWER_HEAD,
          "grpc-status": String(why.status),
          "grpc-message": why.message,
          "grpc-accept-encoding": "identity",
        };
  stream.respond(head, REFUSAL_OPTIONS);
  // What still comes is for nobody; unread, it would keep the stream open.
  stream.resume();
}

function isOver(stream: ServerHttp2Stream): boolean {
  return stream.destroyed || stream.closed || stream.headersSent;
}
