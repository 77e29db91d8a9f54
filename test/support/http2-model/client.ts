import assert from "node:assert/strict";
import { ERROR_CODE, encodeFrame, encodeUint32s, FLAG, FRAME, SETTING } from "../../../src/http2/frames.ts";
import { encodeHeaderBlock } from "../../../src/http2/header-encoder.ts";
import { padded, settings } from "../http2-frames.ts";
import type { ClientFrame } from "./rules.ts";
import { acknowledgeSettings } from "./rules.ts";
import type { ModelConnection, ModelStream } from "./state.ts";
import { contentOf, isLive, newConnection } from "./state.ts";

export const RESPONSE_HEAD = encodeHeaderBlock([[":status", "200"]]);
export const RESPONSE_TRAILERS = encodeHeaderBlock([["grpc-status", "0"]]);

const STREAM_WINDOW = 65_535;
const CONNECTION_WINDOW = 16 * 1024 * 1024;

/** What the client sees of the server. Throws if a frame is not allowed in the state of its stream. */
export interface Observer {
  readonly model: ModelConnection;
  receive(bytes: Buffer): void;
}

/**
 * @param mayCalm whether the server may now reset a stream, or end the connection, to stay below a limit
 * @param onMark called when the server has processed everything before a PING of the client
 */
export function createObserver(mayCalm: (stream?: ModelStream) => boolean, onMark: () => void): Observer {
  const model = newConnection();
  let goawayId = 2 ** 31 - 1;
  const sending = (id: number): ModelStream => {
    const stream = model.streams.get(id) ?? assert.fail(`a frame on stream ${id}, which is idle`);
    assert.equal(stream.resetBy, undefined, `nothing follows a reset of stream ${id}`);
    assert.equal(stream.responseEnded, false, `nothing follows the end of stream ${id}`);
    return stream;
  };
  const onData = (id: number, flags: number, payload: Buffer) => {
    const stream = sending(id);
    assert.ok(stream.headTaken, "DATA before the head of its response");
    assert.equal(flags, 0);
    assert.ok(payload.length <= Math.max(stream.sendWindow, 0), `DATA exceeds the window of stream ${id}`);
    assert.ok(payload.length <= Math.max(model.sendWindow, 0), "DATA exceeds the window of the connection");
    assert.ok(payload.equals(contentOf(id, stream.taken, payload.length)), `the DATA of stream ${id}`);
    model.sendWindow -= payload.length;
    stream.sendWindow -= payload.length;
    stream.taken += payload.length;
    assert.ok(stream.taken <= stream.written, "DATA that no handler has written");
  };
  const onHeaders = (id: number, flags: number, payload: Buffer) => {
    const stream = sending(id);
    assert.ok(payload.equals(stream.headTaken ? RESPONSE_TRAILERS : RESPONSE_HEAD), "a header block");
    const isEnd = (flags & FLAG.END_STREAM) !== 0;
    if (stream.headTaken || isEnd)
      assert.ok(isEnd && stream.trailersWritten && stream.taken === stream.written);
    stream.headTaken = true;
    stream.responseEnded = isEnd;
  };
  const onReset = (id: number, code: number) => {
    const stream = model.streams.get(id) ?? assert.fail(`RST_STREAM of stream ${id}, which is idle`);
    if (code === stream.dueReset) stream.dueReset = undefined;
    else {
      assert.ok(isLive(stream), `RST_STREAM ${code} of stream ${id}, which is closed`);
      assert.equal(code, ERROR_CODE.ENHANCE_YOUR_CALM, `RST_STREAM of stream ${id}`);
      assert.ok(mayCalm(stream), `RST_STREAM of stream ${id} below all limits`);
      stream.resetBy = "server";
    }
  };
  const onWindow = (id: number, bytes: number) => {
    if (id === 0) {
      assert.ok(bytes >= CONNECTION_WINDOW / 2, "a WINDOW_UPDATE before half of the window is used");
      model.receiveWindow += bytes;
      assert.ok(model.receiveWindow <= CONNECTION_WINDOW);
      return;
    }
    const stream = model.streams.get(id) ?? assert.fail("WINDOW_UPDATE of an idle stream");
    assert.ok(isLive(stream) && !stream.requestEnded, `WINDOW_UPDATE of stream ${id}, which takes no DATA`);
    assert.equal(stream.stream?.isPaused, false, `WINDOW_UPDATE of stream ${id}, whose handler is paused`);
    const isReceived = stream.isTolerant || stream.stream?.onBody !== undefined;
    assert.ok(isReceived, `WINDOW_UPDATE of stream ${id}, whose body has no receiver`);
    assert.ok(bytes >= STREAM_WINDOW / 2, "a WINDOW_UPDATE before half of the window is used");
    stream.receiveWindow += bytes;
    assert.ok(stream.receiveWindow <= STREAM_WINDOW);
  };
  const onGoaway = (lastId: number, code: number) => {
    assert.ok(lastId <= goawayId, "GOAWAY with a higher stream id than before");
    goawayId = lastId;
    assert.equal(lastId, model.lastProcessed);
    if (code === ERROR_CODE.NO_ERROR) assert.ok(model.isDraining, "GOAWAY");
    else {
      if (code === model.dueError) model.dueError = undefined;
      else assert.ok(code === ERROR_CODE.ENHANCE_YOUR_CALM && mayCalm(), `GOAWAY ${code}`);
      model.isOver = true;
    }
  };
  const onFrame = (type: number, flags: number, id: number, payload: Buffer) => {
    assert.equal(model.isOver, false, "no frame follows the GOAWAY of an error");
    const isAck = (flags & FLAG.ACK) !== 0;
    if (type === FRAME.DATA) onData(id, flags, payload);
    else if (type === FRAME.HEADERS) onHeaders(id, flags, payload);
    else if (type === FRAME.RST_STREAM) onReset(id, payload.readUInt32BE(0));
    else if (type === FRAME.WINDOW_UPDATE) onWindow(id, payload.readUInt32BE(0));
    else if (type === FRAME.GOAWAY) onGoaway(payload.readUInt32BE(0), payload.readUInt32BE(4));
    else if (type === FRAME.SETTINGS && isAck) acknowledgeSettings(model);
    else if (type === FRAME.PING && isAck) onMark();
    else assert.equal(type, FRAME.SETTINGS);
  };
  return {
    model,
    receive(bytes) {
      for (let at = 0; at < bytes.length; ) {
        const end = at + 9 + bytes.readUIntBE(at, 3);
        onFrame(
          bytes[at + 3] ?? 0,
          bytes[at + 4] ?? 0,
          bytes.readUInt32BE(at + 5),
          bytes.subarray(at + 9, end),
        );
        at = end;
      }
    },
  };
}

const head = (path: string, isComplete: boolean) => [
  [":method", "POST"] as const,
  ...(isComplete ? [[":scheme", "http"] as const] : []),
  [":path", path] as const,
];
const BLOCKS = {
  head: encodeHeaderBlock(head("/tolerant", true)),
  "strict head": encodeHeaderBlock(head("/strict", true)),
  "malformed head": encodeHeaderBlock(head("/tolerant", false)),
  "malformed strict head": encodeHeaderBlock(head("/strict", false)),
  trailers: encodeHeaderBlock([["x-end", "1"]]),
} as const;

/** The bytes of a frame. `sent` is how much of the stream's body was sent before. */
export function encode(frame: ClientFrame, sent: number): Buffer {
  switch (frame.kind) {
    case "headers": {
      const fields = frame.length === undefined ? [] : [["content-length", String(frame.length)] as const];
      const block = Buffer.concat([BLOCKS[frame.block], encodeHeaderBlock(fields)]);
      const flags = FLAG.END_HEADERS | (frame.isEnd ? FLAG.END_STREAM : 0);
      return encodeFrame(FRAME.HEADERS, flags, frame.id, block);
    }
    case "data": {
      const content = contentOf(frame.id, sent, frame.bytes);
      const flags = frame.isEnd ? FLAG.END_STREAM : 0;
      if (frame.padding === undefined) return encodeFrame(FRAME.DATA, flags, frame.id, content);
      return padded(FRAME.DATA, frame.id, content, frame.padding, flags);
    }
    case "reset":
      return encodeFrame(FRAME.RST_STREAM, 0, frame.id, encodeUint32s(ERROR_CODE.CANCEL));
    case "window":
      return encodeFrame(FRAME.WINDOW_UPDATE, 0, frame.id, encodeUint32s(frame.bytes));
    case "settings":
      return settings(
        ...(frame.window === undefined ? [] : [[SETTING.INITIAL_WINDOW_SIZE, frame.window] as const]),
      );
    case "acknowledgement":
      return encodeFrame(FRAME.SETTINGS, FLAG.ACK, 0, Buffer.alloc(0));
    case "goaway":
      return encodeFrame(FRAME.GOAWAY, 0, 0, encodeUint32s(0, 0));
    case "priority":
      return encodeFrame(FRAME.PRIORITY, 0, frame.id, Buffer.alloc(frame.bytes));
  }
}

export const MARK = encodeFrame(FRAME.PING, 0, 0, Buffer.alloc(8));
