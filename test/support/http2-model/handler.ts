import assert from "node:assert/strict";
import type { ErrorCode } from "../../../src/http2/frames.ts";
import type { Stream } from "../../../src/http2/server.ts";
import {
  bufferBody,
  countBuffered,
  ERROR_CODE,
  hasPendingData,
  replenishWindow,
  sendData,
  sendHead,
  sendReset,
  sendTrailers,
  sendUnary,
} from "../../../src/http2/server.ts";
import { RESPONSE_HEAD, RESPONSE_TRAILERS } from "./client.ts";
import type { Answer, ModelStream } from "./state.ts";
import { contentOf, expectReset, isLive } from "./state.ts";

export const MAX_BODY_BYTES = 60_000;
/** A handler that takes pieces pauses its client above this. */
const PAUSE_ABOVE_BYTES = 8000;
const PREFIX_BYTES = 5;

/** What a handler asks before it uses memory. */
export interface HandlerLimits {
  /** The handler is about to write this much. */
  onWrite(bytes: number): void;
  /** Whether a body may be rejected to stay below a limit. */
  mayReject(): boolean;
}

/** Serves a request as its plan says, and notes what the server calls. */
export function serve(call: ModelStream, stream: Stream, limits: HandlerLimits): void {
  assert.equal(call.stream, undefined, `the handler of stream ${call.id} is called twice`);
  call.stream = stream;
  assert.equal(stream.isPaused, false, "only a handler pauses its client");
  stream.onClose = () => {
    call.closes++;
  };
  const { plan } = call;
  if (plan?.receives === "whole body") receiveWhole(call, stream, limits);
  else if (plan?.receives === "pieces") receivePieces(call, stream, limits);
  stream.onDrain = () => {
    assert.equal(hasPendingData(stream), false, "onDrain while data waits");
    const { next } = call;
    call.next = undefined;
    next?.();
  };
  if (plan?.responds === "at its head") respond(call, plan.response, limits);
}

function receiveWhole(call: ModelStream, stream: Stream, limits: HandlerLimits): void {
  const { onBody, onBodyRejected } = bufferBody(MAX_BODY_BYTES, (_stream, body) => {
    assert.equal(call.closes, 0, "a body of a closed stream");
    assert.equal(++call.bodies, 1, `the body of stream ${call.id} is complete twice`);
    const isAtFault = call.isContradictory || call.received > MAX_BODY_BYTES;
    if (body === undefined) assert.ok(isAtFault || limits.mayReject(), "a body is rejected below all limits");
    else assert.ok(call.requestEnded && body.equals(contentOf(call.id, 0, call.received)), "the whole body");
    if (call.plan?.responds === "at its end") respond(call, call.plan.response, limits);
  });
  stream.onBody = (_stream, piece, isLast) => {
    call.received += piece.length;
    onBody(stream, piece, isLast);
  };
  stream.onBodyRejected = onBodyRejected;
}

/** Keeps pieces until `consume`, as a handler of a streaming call does. */
function receivePieces(call: ModelStream, stream: Stream, limits: HandlerLimits): void {
  const count = countBuffered(stream);
  const fail = () => cancel(call, ERROR_CODE.ENHANCE_YOUR_CALM);
  stream.onBodyRejected = () => {
    assert.ok(call.isContradictory || limits.mayReject(), "a body is rejected below all limits");
    if (call.responseEnded) count.set(0);
    else fail();
  };
  const { onClose } = stream;
  stream.onClose = () => {
    count.set(0);
    onClose?.();
  };
  stream.onBody = (_stream, piece, isLast) => {
    assert.ok(piece.equals(contentOf(call.id, call.received, piece.length)), "a piece of the body");
    call.received += piece.length;
    count.set(count.bytes() + piece.length);
    if (stream.state === "closed") return;
    if (count.isOverLimit()) {
      assert.ok(limits.mayReject(), "a connection is over its limit");
      fail();
    } else if (isLast && call.plan?.responds === "at its end") respond(call, call.plan.response, limits);
    else stream.isPaused = count.bytes() > PAUSE_ABOVE_BYTES;
  };
  call.keptBytes = count.bytes;
  call.consume = () => {
    count.set(0);
    stream.isPaused = false;
    replenishWindow(stream);
  };
}

/** Ends a stream. On a closed stream it has no effect. */
export function cancel(call: ModelStream, code: ErrorCode): void {
  if (call.stream === undefined) return;
  expectReset(call, code);
  sendReset(call.stream, code);
}

/** Responds once. On a stream that is closed, or that the server has ended, it has no effect. */
export function respond(call: ModelStream, { form, bytes }: Answer, limits: HandlerLimits): void {
  const { stream } = call;
  if (stream === undefined || (isAnswerable(call) && call.headWritten)) return;
  if (form === "reset") cancel(call, ERROR_CODE.CANCEL);
  else if (form === "head only") {
    call.headWritten = call.trailersWritten = true;
    sendHead(stream, RESPONSE_HEAD, true);
  } else if (form === "unary") {
    call.headWritten = call.trailersWritten = true;
    const [prefix, message] = [write(call, PREFIX_BYTES, limits), write(call, bytes, limits)];
    sendUnary(stream, RESPONSE_HEAD, prefix, message, RESPONSE_TRAILERS);
  } else respondInPieces(call, stream, bytes, limits);
}

/** The second piece follows when the client has taken the first one. */
function respondInPieces(call: ModelStream, stream: Stream, bytes: number, limits: HandlerLimits): void {
  call.headWritten = true;
  sendHead(stream, RESPONSE_HEAD, false);
  sendData(stream, write(call, bytes, limits));
  const finish = () => {
    sendData(stream, write(call, bytes >> 1, limits));
    call.trailersWritten = true;
    sendTrailers(stream, RESPONSE_TRAILERS);
  };
  if (hasPendingData(stream)) call.next = finish;
  else finish();
}

/** The next bytes of a response. Those of a closed stream are any bytes, which must not be sent. */
function write(call: ModelStream, length: number, limits: HandlerLimits): Buffer {
  const from = call.written;
  if (isAnswerable(call)) {
    limits.onWrite(length);
    call.written += length;
  }
  return contentOf(call.id, from, length);
}

function isAnswerable(call: ModelStream): boolean {
  return isLive(call) && !call.responseEnded;
}
