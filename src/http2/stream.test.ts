import { expect, test } from "vitest";
import { data, headers } from "../../test/support/http2-frames.ts";
import { memoryConnection } from "../../test/support/memory-connection.ts";
import type { Stream } from "./connection-state.ts";
import { ERROR_CODE, encodeFrame, encodeUint32s, FLAG, FRAME } from "./frames.ts";
import {
  abortConnection,
  canReceive,
  canSend,
  closeStream,
  createStream,
  halfCloseLocal,
  halfCloseRemote,
  releaseBody,
  resetWithinBudget,
  sendReset,
  unsentBytes,
} from "./stream.ts";
import { sendData } from "./stream-writer.ts";

/** A client with open streams. `closes` has the ids of the closed ones, in their order, and `faults` what the server reported. */
function connect(...ids: readonly number[]) {
  const [closes, faults]: [number[], unknown[]] = [[], []];
  const client = memoryConnection({
    onFault: (error) => faults.push(error),
    onRequest(stream) {
      stream.onBody = () => undefined;
      stream.onClose = () => closes.push(stream.id);
    },
  });
  client.send(...ids.map((id) => headers(id)));
  return { ...client, closes, faults };
}

const remote = halfCloseRemote;
const local = halfCloseLocal;

test.each<[steps: readonly ((stream: Stream) => void)[], state: string, incomplete: number, sends: boolean]>([
  [[], "open", 1, true],
  [[remote], "half-closed (remote)", 0, true],
  [[remote, remote], "half-closed (remote)", 0, true],
  [[local], "half-closed (local)", 1, false],
  [[local, local], "half-closed (local)", 1, false],
  [[remote, local], "closed", 0, false],
  [[local, remote], "closed", 0, false],
  [[closeStream], "closed", 0, false],
  [[closeStream, closeStream], "closed", 0, false],
  [[closeStream, remote, local], "closed", 0, false],
  [[remote, closeStream], "closed", 0, false],
  [[local, closeStream], "closed", 0, false],
])("§5.1: after %o a stream is %s, and %i requests are incomplete", (steps, state, incomplete, sends) => {
  const { load, connection, closes, stream } = connect(1);
  const one = stream(1);
  for (const step of steps) step(one);
  expect([one.state, load.incompleteRequests, canReceive(one), canSend(one)]).toEqual([
    state,
    incomplete,
    incomplete === 1,
    sends,
  ]);
  const isClosed = state === "closed";
  expect([closes, connection.streams.size]).toEqual(isClosed ? [[1], 0] : [[], 1]);
  // The rest of a body without a receiver is discarded.
  expect(one.onBody === undefined).toBe(isClosed || state === "half-closed (local)");
});

test("an open stream has the windows of its connection, and nothing of an earlier stream", () => {
  const { connection, load } = connect();
  connection.initialSendWindow = 7;
  const stream = createStream(connection, 1, 5, true, 99);
  expect(stream).toMatchObject({ id: 1, deadlineMs: 99, handlesInvalid: true, remainingContentLength: 5 });
  expect(stream).toMatchObject({ sendWindow: 7, receiveWindow: 65_535, isPaused: false });
  expect(stream).toMatchObject({
    bodyBytes: 0,
    pendingBytes: 0,
    pendingData: undefined,
    trailers: undefined,
  });
  expect([connection.streams.get(1), load.incompleteRequests]).toEqual([stream, 1]);
});

test("a stream that closes frees what is kept of its body and of its response", () => {
  const { load, connection, stream, send } = connect(1, 3);
  const [one, three] = [stream(1), stream(3)];
  for (const each of [one, three]) {
    Object.assign(each, { body: Buffer.alloc(20), bodyBytes: 10 });
    connection.bufferedBytes += 10;
    load.buffered.set(each, 20);
    sendData(each, Buffer.alloc(100_000));
  }
  const pending = one.pendingBytes + three.pendingBytes;
  expect([pending, connection.pendingBytes, load.pending.bytes()]).toEqual([134_465, 134_465, 134_465]);
  // The window of the connection is used, and that of the second stream is not.
  expect([...connection.blockedStreams]).toEqual([three]);
  closeStream(three);
  expect([connection.bufferedBytes, load.buffered.bytes(), connection.blockedStreams.size]).toEqual([
    10, 20, 0,
  ]);
  expect([connection.pendingBytes, load.pending.bytes()]).toEqual([one.pendingBytes, one.pendingBytes]);
  expect(three).toMatchObject({ body: undefined, bodyBytes: 0, pendingData: undefined, pendingBytes: 0 });
  send(encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(ERROR_CODE.CANCEL)));
  expect([
    connection.bufferedBytes,
    connection.pendingBytes,
    load.buffered.bytes(),
    load.pending.bytes(),
  ]).toEqual([0, 0, 0, 0]);
});

test("a body may be released before its stream closes", () => {
  const { load, connection, stream } = connect(1);
  Object.assign(stream(1), { body: Buffer.alloc(20), bodyBytes: 10 });
  connection.bufferedBytes = 15;
  load.buffered.set(stream(1), 20);
  releaseBody(stream(1));
  expect([connection.bufferedBytes, load.buffered.bytes()]).toEqual([5, 0]);
  expect(stream(1)).toMatchObject({ state: "open", body: undefined, bodyBytes: 0 });
});

test("§6.8: a connection that drains closes with its last stream", () => {
  const { connection, stream, socket } = connect(1, 3);
  connection.isDraining = true;
  closeStream(stream(1));
  expect([connection.isClosed, socket.socket.destroyed]).toEqual([false, false]);
  closeStream(stream(3));
  expect([connection.isClosed, socket.socket.destroyed]).toEqual([true, true]);
});

test("§5.4.2: a stream is reset once, at once, and never after it was closed", async () => {
  const { stream, after, closes } = connect(1);
  const one = stream(1);
  expect(await after(() => sendReset(one, ERROR_CODE.CANCEL))).toEqual(["RST_STREAM 1 CANCEL"]);
  expect([one.state, closes]).toEqual(["closed", [1]]);
  expect(await after(() => sendReset(one, ERROR_CODE.CANCEL))).toEqual([]);
});

test("§5.1: frames for a stream that the server has reset are discarded: it remembers the last 1,024", () => {
  const { connection, send } = connect();
  const ids = Array.from({ length: 1025 }, (_, index) => 2 * index + 1);
  send(...ids.map((id) => headers(id, [])));
  expect(connection.resetIds.size).toBe(1024);
  // The first one is forgotten, and the second is not.
  expect(send(data(3, Buffer.alloc(1)))).toEqual([]);
  expect(send(data(1, Buffer.alloc(1)))).toEqual(["RST_STREAM 1 STREAM_CLOSED"]);
});

test("§5.4.2: a reset within the budget closes the stream, also one that has ended or was never processed", () => {
  const { connection, stream, send, closes } = connect(1, 3);
  connection.output.flush();
  const one = stream(1);
  expect(resetWithinBudget(connection, 1, ERROR_CODE.STREAM_CLOSED)).toBeUndefined();
  expect([one.state, closes]).toEqual(["closed", [1]]);
  expect(resetWithinBudget(connection, 1, ERROR_CODE.STREAM_CLOSED)).toBeUndefined();
  expect([connection.streams.size, [...connection.resetIds]]).toEqual([1, [1]]);
  expect(send(data(3, Buffer.alloc(0), FLAG.END_STREAM))).toEqual([
    "RST_STREAM 1 STREAM_CLOSED",
    "RST_STREAM 1 STREAM_CLOSED",
  ]);
});

test("CVE-2025-8671: the reset that exceeds the budget ends the connection instead", () => {
  const { connection, stream } = connect(1);
  let left = 1;
  Object.assign(connection, { resetBudget: () => left-- > 0 });
  expect(resetWithinBudget(connection, 9, ERROR_CODE.PROTOCOL_ERROR)).toBeUndefined();
  expect(resetWithinBudget(connection, 1, ERROR_CODE.PROTOCOL_ERROR)).toBe(ERROR_CODE.ENHANCE_YOUR_CALM);
  expect([stream(1).state, [...connection.resetIds]]).toEqual(["open", [9]]);
});

test("an exception of a handler is reported, and ends its connection with all streams", () => {
  const { connection, stream, faults, socket, closes } = connect(1, 3);
  const error = new Error("of a handler");
  abortConnection(stream(1), error);
  expect([faults, socket.socket.destroyed, closes, connection.streams.size]).toEqual([
    [error],
    true,
    [1, 3],
    0,
  ]);
});

test("a handler sees what the socket of its stream has not sent", async () => {
  const { stream, socket, after } = connect(1);
  socket.stopReading();
  expect(unsentBytes(stream(1))).toBe(0);
  await after(() => sendData(stream(1), Buffer.alloc(10)));
  expect(unsentBytes(stream(1))).toBe(9 + 10);
});
