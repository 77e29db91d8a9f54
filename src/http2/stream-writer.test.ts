import { expect, test } from "vitest";
import { data, headers, settings } from "../../test/support/http2-frames.ts";
import { memoryConnection } from "../../test/support/memory-connection.ts";
import type { LoadLimits } from "./connection-state.ts";
import { encodeFrame, encodeUint32s, FLAG, FRAME, SETTING } from "./frames.ts";
import { closeStream } from "./stream.ts";
import {
  flushBlocked,
  hasPendingData,
  notifyDrained,
  resumeStream,
  sendData,
  sendHead,
  sendTrailers,
  sendUnary,
} from "./stream-writer.ts";

const HEAD = Buffer.from("head");
const PREFIX = Buffer.from("pre");
const TRAILERS = Buffer.from("end");
const NOTHING = Buffer.alloc(0);

/** A client with open streams. Its windows permit `window` bytes for each stream. `drains` has the calls of `onDrain`. */
function connect({ ids = [1], window = 65_535, limits = {} as Partial<LoadLimits> } = {}) {
  const drains: number[] = [];
  const client = memoryConnection(
    {
      onRequest(stream) {
        stream.onDrain = () => drains.push(stream.id);
      },
    },
    limits,
  );
  client.send(settings([SETTING.INITIAL_WINDOW_SIZE, window]), ...ids.map((id) => headers(id)));
  return { ...client, drains };
}

function windowUpdate(id: number, bytes: number): Buffer {
  return encodeFrame(FRAME.WINDOW_UPDATE, 0, id, encodeUint32s(bytes));
}

const LAST = data(1, NOTHING, FLAG.END_STREAM);
/** The server then begins its next block with 0x20, which is a space in these tests. */
const TABLE_SIZE = settings([SETTING.HEADER_TABLE_SIZE, 0]);

test("§8.1: a response has a head, DATA and trailers, and its end closes the sending side", async () => {
  const { after, stream, connection } = connect();
  const one = stream(1);
  expect(await after(() => sendHead(one, HEAD, false))).toEqual(['HEADERS 1 "head"']);
  expect(await after(() => sendData(one, Buffer.from("body")))).toEqual(['DATA 1 "body"']);
  expect([one.state, one.sendWindow, connection.sendWindow]).toEqual(["open", 65_531, 65_531]);
  expect(await after(() => sendTrailers(one, TRAILERS))).toEqual(['HEADERS 1 "end" END_STREAM']);
  expect(one.state).toBe("half-closed (local)");
  expect(
    await after(() => {
      sendHead(one, HEAD, false);
      sendData(one, Buffer.from("late"));
      sendTrailers(one, TRAILERS);
      sendUnary(one, HEAD, PREFIX, Buffer.from("late"), TRAILERS);
    }),
  ).toEqual([]);
  expect([one.trailers, one.pendingBytes, connection.pendingBytes]).toEqual([TRAILERS, 0, 0]);
});

test("§8.1: a response may be a head alone, which closes a stream whose request has ended", async () => {
  const { after, stream, send } = connect();
  send(LAST);
  const one = stream(1);
  expect(await after(() => sendHead(one, HEAD, true))).toEqual(['HEADERS 1 "head" END_STREAM']);
  expect(one.state).toBe("closed");
});

test("a response to a stream that is closed is discarded", async () => {
  const { after, stream, connection } = connect();
  const one = stream(1);
  closeStream(one);
  const late = () => {
    sendHead(one, HEAD, true);
    sendData(one, Buffer.from("late"));
    sendTrailers(one, TRAILERS);
    sendUnary(one, HEAD, PREFIX, Buffer.from("late"), TRAILERS);
    resumeStream(one);
    notifyDrained(one);
  };
  expect(await after(late)).toEqual([]);
  expect([one.pendingData, one.pendingBytes, one.trailers, connection.pendingBytes]).toEqual([
    undefined,
    0,
    undefined,
    0,
  ]);
});

test("§4.2: DATA has frames of at most 16,384 bytes, and an empty piece is sent without a window", async () => {
  const { after, stream } = connect({ window: 16_389 });
  const [HALF_FRAMES, one] = [Buffer.alloc(16_389, "x"), stream(1)];
  expect(await after(() => sendData(one, HALF_FRAMES))).toEqual(["DATA 1 16384 bytes", 'DATA 1 "xxxxx"']);
  expect(one.sendWindow).toBe(0);
  expect(await after(() => sendData(one, NOTHING))).toEqual(['DATA 1 ""']);
  expect([hasPendingData(one), one.pendingBytes]).toEqual([false, 0]);
});

test("§6.9.1: DATA waits for the window of its stream, in its order, and trailers wait for it", async () => {
  const { after, stream, send, connection, load, drains } = connect({ window: 3 });
  const one = stream(1);
  const write = () => {
    sendHead(one, HEAD, false);
    sendData(one, Buffer.from("abcdef"));
    sendData(one, Buffer.from("gh"));
    sendTrailers(one, TRAILERS);
  };
  expect(await after(write)).toEqual(['HEADERS 1 "head"', 'DATA 1 "abc"']);
  expect([hasPendingData(one), one.pendingBytes, connection.pendingBytes, load.pending.bytes()]).toEqual([
    true,
    5,
    5,
    5,
  ]);
  expect(connection.blockedStreams.size).toBe(0);
  notifyDrained(one);
  expect(send(windowUpdate(1, 1))).toEqual(['DATA 1 "d"']);
  expect([one.pendingBytes, connection.pendingBytes, load.pending.bytes(), drains]).toEqual([4, 4, 4, []]);
  expect(send(windowUpdate(1, 3))).toEqual(['DATA 1 "ef"', 'DATA 1 "g"']);
  expect(send(windowUpdate(1, 3))).toEqual(['DATA 1 "h"', 'HEADERS 1 "end" END_STREAM']);
  expect([one.pendingBytes, connection.pendingBytes, load.pending.bytes(), one.sendWindow]).toEqual([
    0, 0, 0, 2,
  ]);
  // The response has ended, so the handler has nothing more to send.
  expect([one.state, drains]).toEqual(["half-closed (local)", []]);
});

test("§5.2: a handler may send more once the client has taken everything", async () => {
  const { after, stream, send, drains } = connect({ window: 3 });
  await after(() => sendData(stream(1), Buffer.from("abcdef")));
  expect([send(windowUpdate(1, 2)), drains]).toEqual([['DATA 1 "de"'], []]);
  expect([send(windowUpdate(1, 9)), drains]).toEqual([['DATA 1 "f"'], [1]]);
  // A window that nothing waits for has no effect.
  expect([send(windowUpdate(1, 9)), drains]).toEqual([[], [1]]);
  notifyDrained(stream(1));
  expect(drains).toEqual([1, 1]);
  stream(1).onDrain = undefined;
  expect(() => notifyDrained(stream(1))).not.toThrow();
});

test("§6.9.1: streams that wait for the window of the connection share it in the order in which they began to wait", async () => {
  const { after, stream, send, connection, drains } = connect({ ids: [1, 3, 5] });
  connection.sendWindow = 2;
  const write = () => {
    sendData(stream(3), Buffer.from("three"));
    sendData(stream(1), Buffer.from("one"));
    sendData(stream(5), NOTHING);
  };
  expect(await after(write)).toEqual(['DATA 3 "th"', 'DATA 5 ""']);
  expect([...connection.blockedStreams].map(({ id }) => id)).toEqual([3, 1]);
  expect(send(windowUpdate(0, 4))).toEqual(['DATA 3 "ree"', 'DATA 1 "o"']);
  expect([...connection.blockedStreams].map(({ id }) => id)).toEqual([1]);
  expect(drains).toEqual([3]);
  expect(send(windowUpdate(0, 9))).toEqual(['DATA 1 "ne"']);
  expect([connection.blockedStreams.size, connection.sendWindow, drains]).toEqual([0, 7, [3, 1]]);
});

test("§6.9.1: a stream whose own window is used does not wait for that of the connection", async () => {
  const { after, stream, connection, send } = connect({ ids: [1, 3], window: 2 });
  connection.sendWindow = 2;
  await after(() => sendData(stream(1), Buffer.from("abc")));
  expect(connection.blockedStreams.size).toBe(0);
  expect(send(windowUpdate(0, 10))).toEqual([]);
  expect(send(windowUpdate(1, 10))).toEqual(['DATA 1 "c"']);
});

test("no stream resumes on a connection that is closed, or whose window is used", async () => {
  const { after, stream, connection } = connect();
  connection.sendWindow = 0;
  await after(() => sendData(stream(1), Buffer.from("abc")));
  connection.sendWindow = 10;
  connection.isClosed = true;
  expect(await after(() => flushBlocked(connection))).toEqual([]);
  connection.isClosed = false;
  connection.sendWindow = 0;
  expect(await after(() => flushBlocked(connection))).toEqual([]);
  connection.sendWindow = 1;
  expect(await after(() => flushBlocked(connection))).toEqual(['DATA 1 "a"']);
  expect(connection.blockedStreams.size).toBe(1);
});

test("RFC 7541 §4.2: the first block after a change of the table size begins with a size update, and no other", async () => {
  const { after, stream, send } = connect({ ids: [1, 3, 5] });
  send(TABLE_SIZE);
  expect(await after(() => sendHead(stream(1), HEAD, false))).toEqual(['HEADERS 1 " head"']);
  expect(await after(() => sendHead(stream(3), HEAD, false))).toEqual(['HEADERS 3 "head"']);
  send(TABLE_SIZE);
  expect(await after(() => sendTrailers(stream(3), TRAILERS))).toEqual(['HEADERS 3 " end" END_STREAM']);
  send(TABLE_SIZE);
  expect(await after(() => sendUnary(stream(5), HEAD, PREFIX, Buffer.from("fix"), TRAILERS))).toEqual([
    'HEADERS 5 " head"',
    'DATA 5 "prefix"',
    'HEADERS 5 "end" END_STREAM',
  ]);
});

test.each([
  ["exactly permit it", 6, ['HEADERS 1 "head"', 'DATA 1 "prefix"', 'HEADERS 1 "end" END_STREAM'], []],
  ["are too small", 5, ['HEADERS 1 "head"', 'DATA 1 "prefi"'], ['DATA 1 "x"', 'HEADERS 1 "end" END_STREAM']],
])("§6.9: a whole response is sent if the windows %s", async (_what, window, first, then) => {
  const { after, stream, send, connection } = connect({ window });
  const one = stream(1);
  expect(await after(() => sendUnary(one, HEAD, PREFIX, Buffer.from("fix"), TRAILERS))).toEqual(first);
  expect([one.sendWindow, connection.sendWindow]).toEqual([0, 65_535 - window]);
  expect(send(windowUpdate(1, 6 - window || 1))).toEqual(then);
  expect(one.state).toBe("half-closed (local)");
  send(LAST);
  expect([one.state, connection.streams.size]).toEqual(["closed", 0]);
});

test("a whole response is the same bytes as its parts", async () => {
  const message = Buffer.alloc(2000, "m");
  const [whole, parts] = [connect(), connect()];
  const inParts = (stream = parts.stream(1)) => {
    sendHead(stream, HEAD, false);
    sendData(stream, Buffer.concat([PREFIX, message]));
    sendTrailers(stream, TRAILERS);
  };
  const lines = await whole.after(() => sendUnary(whole.stream(1), HEAD, PREFIX, message, TRAILERS));
  expect(lines).toEqual(await parts.after(inParts));
  expect(lines).toHaveLength(3);
});

test("DATA that waits is kept in memory of at most twice its size, also after a part of it was sent", async () => {
  const { after, stream, send } = connect({ window: 0 });
  const bytesOf = (piece: Buffer | undefined) => piece?.buffer.byteLength ?? 0;
  const shared = Buffer.alloc(100_000, "s");
  await after(() => sendData(stream(1), shared.subarray(0, 1000)));
  expect(stream(1).pendingData?.map(bytesOf)).toEqual([1000]);
  for (const bytes of [500, 250]) await after(() => sendData(stream(1), shared.subarray(0, bytes)));
  expect(stream(1).pendingData?.map(bytesOf)).toEqual([1000, 500, 250]);
  send(windowUpdate(1, 600));
  expect(stream(1).pendingData?.map(bytesOf)).toEqual([400, 500, 250]);
  expect(Buffer.concat(stream(1).pendingData ?? [])).toEqual(Buffer.alloc(1150, "s"));
});

test("§10.5: DATA that waits has a limit for each connection, and the stream that exceeds it is reset", async () => {
  const { after, stream, connection, load } = connect({
    ids: [1, 3],
    window: 0,
    limits: { pending: { process: 1000, connection: 100 } },
  });
  const three = stream(3);
  expect(await after(() => sendData(stream(1), Buffer.alloc(60)))).toEqual([]);
  expect(await after(() => sendData(three, Buffer.alloc(40)))).toEqual([]);
  expect(await after(() => sendData(three, Buffer.alloc(1)))).toEqual(["RST_STREAM 3 ENHANCE_YOUR_CALM"]);
  expect([connection.pendingBytes, load.pending.bytes(), hasPendingData(three)]).toEqual([60, 60, false]);
});

test("a client that is cut off while a response is written leaves nothing behind", async () => {
  const { after, stream, socket, connection, load } = connect({
    limits: { unsent: { process: 70_000, connection: 1000 } },
  });
  const one = stream(1);
  socket.stopReading();
  one.sendWindow = connection.sendWindow = 1_000_000;
  await after(() => sendData(one, Buffer.alloc(300_000)));
  expect([socket.socket.destroyed, one.state]).toEqual([true, "closed"]);
  expect([one.pendingBytes, connection.pendingBytes, load.pending.bytes(), hasPendingData(one)]).toEqual([
    0,
    0,
    0,
    false,
  ]);
  expect(connection.blockedStreams.size).toBe(0);
});
