import { expect, test } from "vitest";
import { data, headers, padded, settings } from "../../test/support/http2-frames.ts";
import { memoryConnection } from "../../test/support/memory-connection.ts";
import type { Stream } from "./connection-state.ts";
import {
  consumeConnectionWindow,
  consumeSendWindow,
  consumeStreamWindow,
  replenishWindow,
  sendableBytes,
} from "./flow-control.ts";
import { encodeFrame, encodeUint32s, FRAME, SETTING } from "./frames.ts";
import { closeStream, halfCloseLocal, halfCloseRemote } from "./stream.ts";

const WINDOW = 65_535;
/** The least number of bytes that are half of a window. */
const HALF = 32_768;
const MIB = 1024 * 1024;
const MAX_WINDOW = 2 ** 31 - 1;

/** A client with open streams, whose bodies have a receiver. */
function connect({ ids = [1], handlesInvalid = false } = {}) {
  const client = memoryConnection({
    handlesInvalid: () => handlesInvalid,
    onRequest(stream) {
      stream.onBody = () => undefined;
    },
  });
  client.send(...ids.map((id) => headers(id)));
  return client;
}

function windowUpdate(id: number, bytes: number): Buffer {
  return encodeFrame(FRAME.WINDOW_UPDATE, 0, id, encodeUint32s(bytes));
}

function windowOf(bytes: number): Buffer {
  return settings([SETTING.INITIAL_WINDOW_SIZE, bytes]);
}

test("§6.9: the window of a connection is replenished once half of its 16 MiB is used", async () => {
  const { connection, after, send } = connect({ ids: [1, 3] });
  await after(() => consumeConnectionWindow(connection, 8 * MIB - 2));
  expect(send(data(1, Buffer.alloc(1)))).toEqual([]);
  expect(connection.receiveWindow).toBe(8 * MIB + 1);
  expect(send(data(3, Buffer.alloc(1)))).toEqual([`WINDOW_UPDATE 0 ${8 * MIB}`]);
  expect(connection.receiveWindow).toBe(16 * MIB);
});

test("§6.9.1: a client may use the whole window of a stream, and not a byte more", () => {
  const stream = connect().stream(1);
  expect([consumeStreamWindow(stream, WINDOW - 1), stream.receiveWindow]).toEqual([true, 1]);
  expect([consumeStreamWindow(stream, 2), stream.receiveWindow]).toEqual([false, 1]);
  expect([consumeStreamWindow(stream, 1), stream.receiveWindow]).toEqual([true, 0]);
  expect(consumeStreamWindow(stream, 0)).toBe(true);
});

test("§6.9: the window of a stream is replenished once half of it is used, with padding", () => {
  const { send, stream } = connect();
  send(data(1, Buffer.alloc(16_384)), data(1, Buffer.alloc(HALF - 16_384 - 1)));
  expect(stream(1).receiveWindow).toBe(WINDOW - HALF + 1);
  // The pad length is a byte of the window.
  expect(send(padded(FRAME.DATA, 1, Buffer.alloc(0), 0))).toEqual([`WINDOW_UPDATE 1 ${HALF}`]);
  expect(stream(1).receiveWindow).toBe(WINDOW);
});

test.each<[state: string, change: (stream: Stream) => void, handlesInvalid: boolean, isReplenished: boolean]>(
  [
    ["whose body has a receiver", () => undefined, false, true],
    [
      "whose handler is paused",
      (stream) => {
        stream.isPaused = true;
      },
      false,
      false,
    ],
    [
      "whose body has no receiver",
      (stream) => {
        stream.onBody = undefined;
      },
      false,
      false,
    ],
    ["that was answered early", halfCloseLocal, false, false],
    [
      "that was answered early because it is invalid: its client may first send everything",
      halfCloseLocal,
      true,
      true,
    ],
    ["whose request has ended", halfCloseRemote, true, false],
    ["that is closed", closeStream, true, false],
  ],
)("§5.2: the window of a stream %s", async (_state, change, handlesInvalid, isReplenished) => {
  const client = connect({ handlesInvalid });
  const stream = client.stream(1);
  consumeStreamWindow(stream, HALF - 1);
  change(stream);
  expect(await client.after(() => replenishWindow(stream))).toEqual([]);
  consumeStreamWindow(stream, 1);
  expect(await client.after(() => replenishWindow(stream))).toEqual(
    isReplenished ? [`WINDOW_UPDATE 1 ${HALF}`] : [],
  );
  expect(stream.receiveWindow).toBe(isReplenished ? WINDOW : WINDOW - HALF);
});

test("§6.9.1: DATA uses the windows of its stream and of its connection, and the lesser one or the frame size is its limit", () => {
  const { connection, stream, send } = connect();
  expect(sendableBytes(stream(1))).toBe(16_384);
  consumeSendWindow(stream(1), WINDOW - 10);
  expect([stream(1).sendWindow, connection.sendWindow, sendableBytes(stream(1))]).toEqual([10, 10, 10]);
  send(windowUpdate(1, 5));
  expect([stream(1).sendWindow, connection.sendWindow, sendableBytes(stream(1))]).toEqual([15, 10, 10]);
  send(windowUpdate(0, 100));
  expect([stream(1).sendWindow, connection.sendWindow, sendableBytes(stream(1))]).toEqual([15, 110, 15]);
});

test.each([
  [0, "GOAWAY 1 FLOW_CONTROL_ERROR"],
  [1, "RST_STREAM 1 FLOW_CONTROL_ERROR"],
])("§6.9.1: a window may grow to 2,147,483,647 bytes, and not beyond: stream %i", (id, error) => {
  const { connection, stream, send } = connect();
  const { sendWindow } = stream(1);
  expect(send(windowUpdate(id, MAX_WINDOW - WINDOW))).toEqual([]);
  expect([connection.sendWindow, stream(1).sendWindow]).toEqual(
    id === 0 ? [MAX_WINDOW, sendWindow] : [WINDOW, MAX_WINDOW],
  );
  const one = stream(1);
  expect(send(windowUpdate(id, 1))).toEqual([error]);
  expect(id === 0 ? connection.sendWindow : one.sendWindow).toBe(MAX_WINDOW);
});

test("§6.9.2: SETTINGS change the windows of all open streams by the difference, even below zero", () => {
  const { connection, stream, send } = connect({ ids: [1, 3] });
  consumeSendWindow(stream(1), 1000);
  expect(send(windowOf(500))).toEqual(["SETTINGS ACK"]);
  expect([stream(1).sendWindow, stream(3).sendWindow]).toEqual([-500, 500]);
  expect(send(windowOf(500))).toEqual(["SETTINGS ACK"]);
  expect([stream(1).sendWindow, stream(3).sendWindow]).toEqual([-500, 500]);
  expect(send(windowOf(2000))).toEqual(["SETTINGS ACK"]);
  expect([stream(1).sendWindow, stream(3).sendWindow]).toEqual([1000, 2000]);
  // Only WINDOW_UPDATE changes the window of the connection.
  expect(connection.sendWindow).toBe(WINDOW - 1000);
});

test("§6.9.2: SETTINGS that would open the window of a stream beyond 2,147,483,647 bytes end the connection", () => {
  const { send, stream } = connect({ ids: [1, 3] });
  expect(send(windowUpdate(3, 10), windowOf(MAX_WINDOW - 10))).toEqual(["SETTINGS ACK"]);
  expect(stream(3).sendWindow).toBe(MAX_WINDOW);
  expect(send(windowOf(MAX_WINDOW - 9))).toEqual(["GOAWAY 3 FLOW_CONTROL_ERROR"]);
});

test("§6.9.2: a new stream has the window of the last SETTINGS, as open ones have", () => {
  const { send, stream } = connect();
  send(windowOf(7), headers(3));
  expect([stream(1).sendWindow, stream(3).sendWindow]).toEqual([7, 7]);
});
