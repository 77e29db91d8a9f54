import { expect, test } from "vitest";
import type { Fields } from "../../test/support/http2-frames.ts";
import { data, HEAD, headers, padded } from "../../test/support/http2-frames.ts";
import type { MemoryConnection } from "../../test/support/memory-connection.ts";
import { memoryConnection, memoryProcess } from "../../test/support/memory-connection.ts";
import { drainConnection } from "./connection.ts";
import type { ConnectionDeps, Stream } from "./connection-state.ts";
import { ERROR_CODE, encodeFrame, encodeUint32s, FLAG, FRAME } from "./frames.ts";
import type { RequestHead } from "./request-head.ts";
import { closeStream, halfCloseLocal, sendReset } from "./stream.ts";

const END = FLAG.END_STREAM;
const ENDED_HEAD = FLAG.END_HEADERS | FLAG.END_STREAM;
const SETTINGS_ACK = encodeFrame(FRAME.SETTINGS, FLAG.ACK, 0, Buffer.alloc(0));
/** More than 8,192 bytes. */
const LARGE: Fields = Array.from({ length: 70 }, () => ["x", "v".repeat(120)]);
const beyondMaximum = (id: number) => `RST_STREAM ${id} REFUSED_STREAM`;

function ofLength(length: number): Fields {
  return [...HEAD, ["content-length", String(length)]];
}

/** Invalid requests reach the handler. */
const TOLERANT: Partial<ConnectionDeps> = { handlesInvalid: () => true };

/** A client. `calls` has what its handler gets: requests, pieces of bodies and their ends, and rejected bodies. */
function connect(deps: Partial<ConnectionDeps> = {}) {
  const calls: string[] = [];
  const client = memoryConnection({
    onRequest(stream, { fault }) {
      calls.push(`request ${stream.id}${fault === undefined ? "" : ` ${fault}`}`);
      stream.onBody = (_stream, piece, isLast) => {
        calls.push(`body ${stream.id} "${piece.toString("latin1")}"${isLast ? " last" : ""}`);
      };
      stream.onBodyRejected = () => calls.push(`rejected ${stream.id}`);
    },
    ...deps,
  });
  return { ...client, calls };
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

test("a handler gets the stream, its head and the time, and the stream has a deadline", () => {
  const seen: unknown[] = [];
  const onRequest = (stream: Stream, { path, contentLength }: RequestHead, nowMs: number) => {
    seen.push([
      stream.id,
      stream.deadlineMs,
      stream.remainingContentLength,
      contentLength,
      nowMs,
      path === HEAD[2]?.[1],
    ]);
  };
  const { connection, send } = connect({ onRequest, nowMs: () => 5, maxRequestMs: 100 });
  connection.lastRequestMs = 0;
  expect(send(headers(7, ofLength(3)))).toEqual([]);
  expect(seen).toEqual([[7, 105, 3, 3, 5, true]]);
  expect(connection).toMatchObject({ lastRequestMs: 5, lastProcessedStreamId: 7, highestOpenedStreamId: 7 });
});

test("§8.1: a body arrives in pieces, without padding, and ends with END_STREAM or with trailers", () => {
  const { send, calls, stream } = connect();
  send(headers(1), data(1, bytesOf("a")), padded(FRAME.DATA, 1, bytesOf("b"), 9), data(1, bytesOf("")));
  expect(stream(1).receiveWindow).toBe(65_535 - 1 - 11);
  send(
    data(1, bytesOf("c"), END),
    headers(3),
    headers(3, [["x", "1"]], ENDED_HEAD),
    headers(5, HEAD, ENDED_HEAD),
  );
  expect(calls).toEqual([
    "request 1",
    'body 1 "a"',
    'body 1 "b"',
    'body 1 "c" last',
    "request 3",
    'body 3 "" last',
    "request 5",
    'body 5 "" last',
  ]);
});

test("§5.1: a stream whose request has ended, or that is closed, accepts no more DATA and no trailers", () => {
  const ends: readonly ((client: MemoryConnection) => void)[] = [
    ({ send }) => send(data(1, bytesOf(""), END)),
    ({ send }) => send(headers(1, [], ENDED_HEAD)),
    ({ send }) => send(encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(ERROR_CODE.CANCEL))),
    ({ stream }) => closeStream(stream(1)),
  ];
  for (const end of ends)
    for (const late of [data(1, bytesOf("late")), headers(1, [["x", "1"]], ENDED_HEAD)]) {
      const client = connect();
      client.send(headers(1));
      end(client);
      expect(client.send(late)).toEqual(["RST_STREAM 1 STREAM_CLOSED"]);
      // This frame may still have been under way.
      expect(client.send(late)).toEqual([]);
    }
});

test("§5.1: frames that were under way when their stream was reset are discarded, but use the window of the connection", async () => {
  const { send, after, stream, connection, calls } = connect();
  send(headers(1));
  expect(await after(() => sendReset(stream(1), ERROR_CODE.CANCEL))).toEqual(["RST_STREAM 1 CANCEL"]);
  const before = connection.receiveWindow;
  expect(send(data(1, bytesOf("late")), headers(1, [["x", "1"]], ENDED_HEAD), headers(1, HEAD))).toEqual([]);
  expect([before - connection.receiveWindow, calls]).toEqual([4, ["request 1"]]);
});

test("§5.1.1: a head with the id of a stream that was closed ends the connection, and DATA of an idle stream does", () => {
  const { send, stream } = connect();
  send(headers(1));
  closeStream(stream(1));
  expect(send(headers(1))).toEqual(["GOAWAY 1 PROTOCOL_ERROR"]);
  expect(connect().send(data(1, bytesOf("")))).toEqual(["GOAWAY 0 PROTOCOL_ERROR"]);
  expect(connect().send(headers(3), data(2, bytesOf("")))).toEqual(["GOAWAY 3 PROTOCOL_ERROR"]);
});

test("§6.1: DATA that is shorter than its padding ends the connection", () => {
  expect(connect().send(headers(1), padded(FRAME.DATA, 1, bytesOf(""), 3, 0, 9))).toEqual([
    "GOAWAY 1 PROTOCOL_ERROR",
  ]);
});

test("§6.9: DATA beyond the window of its stream resets it", () => {
  const { send, stream, connection } = connect();
  send(headers(1));
  stream(1).receiveWindow = 4;
  const { receiveWindow } = connection;
  expect(send(data(1, bytesOf("12345")))).toEqual(["RST_STREAM 1 FLOW_CONTROL_ERROR"]);
  expect(receiveWindow - connection.receiveWindow).toBe(5);
});

test("§5.1.2: a client that has acknowledged our SETTINGS may open the announced number of streams, and before that four times as many", () => {
  const { send, stream, calls, connection } = connect({ maxStreams: 2 });
  const ids = [1, 3, 5, 7, 9, 11, 13, 15];
  expect(send(...ids.map((id) => headers(id)), headers(17))).toEqual([beyondMaximum(17)]);
  expect(calls).toHaveLength(8);
  expect([connection.highestOpenedStreamId, connection.lastProcessedStreamId]).toEqual([17, 15]);
  closeStream(stream(1));
  expect(send(headers(19))).toEqual([]);
  expect(send(SETTINGS_ACK, headers(21))).toEqual([beyondMaximum(21)]);
  const other = connect({ maxStreams: 2 });
  expect(other.send(SETTINGS_ACK, headers(1), headers(3), headers(5))).toEqual([beyondMaximum(5)]);
});

test("§6.8: a server that drains ignores new streams and their frames, and serves the open ones", async () => {
  const { send, after, connection, calls } = connect();
  send(headers(3));
  expect(await after(() => drainConnection(connection))).toEqual(["GOAWAY 3 NO_ERROR"]);
  const { receiveWindow } = connection;
  expect(send(headers(5), data(5, bytesOf("new")), headers(5, [["x", "1"]], ENDED_HEAD))).toEqual([]);
  expect(receiveWindow - connection.receiveWindow).toBe(3);
  expect(connection).toMatchObject({ highestOpenedStreamId: 5, lastProcessedStreamId: 3 });
  expect(send(data(3, bytesOf("old"), END))).toEqual([]);
  expect(calls).toEqual(["request 3", 'body 3 "old" last']);
});

test.each<[what: string, fields: Fields, flags: number, error: string, fault: string]>([
  ["is malformed", [], FLAG.END_HEADERS, "PROTOCOL_ERROR", " malformed"],
  ["is too large", [...HEAD, ...LARGE], FLAG.END_HEADERS, "ENHANCE_YOUR_CALM", " too_large"],
  ["ends before its content-length", ofLength(3), ENDED_HEAD, "PROTOCOL_ERROR", ""],
])(
  "a request that %s is reset, and its handler gets nothing, unless it handles invalid requests",
  (_what, fields, flags, error, fault) => {
    const strict = connect();
    expect(strict.send(headers(1, fields, flags))).toEqual([`RST_STREAM 1 ${error}`]);
    expect([strict.calls, strict.connection.lastProcessedStreamId]).toEqual([[], 0]);
    const tolerant = connect(TOLERANT);
    expect(tolerant.send(headers(1, fields, flags))).toEqual([]);
    expect(tolerant.calls[0]).toBe(`request 1${fault}`);
    // Its content-length has no meaning.
    expect(tolerant.stream(1).remainingContentLength).toBeUndefined();
  },
);

test("§8.1.1: a request without a body may have a content-length of 0", () => {
  expect(connect().send(headers(1, ofLength(0), ENDED_HEAD), headers(3, HEAD, ENDED_HEAD))).toEqual([]);
});

test.each<[what: string, frames: readonly Buffer[], seen: readonly string[] | undefined]>([
  ["in one frame", [data(1, bytesOf("abc"), END)], undefined],
  ["in two frames", [data(1, bytesOf("ab")), data(1, bytesOf("c"), END)], undefined],
  ["before an empty last frame", [data(1, bytesOf("abc")), data(1, bytesOf(""), END)], undefined],
  ["before trailers", [data(1, bytesOf("abc")), headers(1, [], ENDED_HEAD)], undefined],
  ["with a byte too many", [data(1, bytesOf("abcd"))], ["rejected 1"]],
  ["with a byte too many at its end", [data(1, bytesOf("abcd"), END)], ["rejected 1", 'body 1 "" last']],
  ["with a byte too few", [data(1, bytesOf("ab"), END)], ["rejected 1", 'body 1 "" last']],
  [
    "with a byte too few, and trailers",
    [data(1, bytesOf("ab")), headers(1, [], ENDED_HEAD)],
    ['body 1 "ab"', "rejected 1", 'body 1 "" last'],
  ],
])("§8.1.1: a body of 3 bytes by its content-length: %s", (_what, frames, seen) => {
  const [strict, tolerant] = [connect(), connect(TOLERANT)];
  const lines = strict.send(headers(1, ofLength(3)), ...frames);
  expect(lines).toEqual(seen === undefined ? [] : ["RST_STREAM 1 PROTOCOL_ERROR"]);
  expect(tolerant.send(headers(1, ofLength(3)), ...frames)).toEqual([]);
  if (seen === undefined) expect(tolerant.calls.filter((call) => call.startsWith("rejected"))).toEqual([]);
  else expect(tolerant.calls).toEqual(["request 1", ...seen]);
});

test("§8.1.1: after a rejected body, its client may send the rest, in any length", () => {
  const { send, stream } = connect(TOLERANT);
  send(headers(1, ofLength(1)), data(1, bytesOf("ab")));
  expect(stream(1).remainingContentLength).toBeUndefined();
  expect(send(data(1, bytesOf("cd")), data(1, bytesOf("e"), END))).toEqual([]);
  expect(stream(1).state).toBe("half-closed (remote)");
  const one = connect({ ...TOLERANT, onRequest: () => undefined });
  expect(one.send(headers(1, ofLength(1)), data(1, bytesOf("ab")))).toEqual([]);
});

test.each<[what: string, fields: Fields, flags: number, error: string]>([
  ["without END_STREAM", [["x", "1"]], FLAG.END_HEADERS, "PROTOCOL_ERROR"],
  ["with a pseudo-header field", [[":path", "/"]], ENDED_HEAD, "PROTOCOL_ERROR"],
  ["with an invalid name", [["X", "1"]], ENDED_HEAD, "PROTOCOL_ERROR"],
  ["that are too large", LARGE, ENDED_HEAD, "ENHANCE_YOUR_CALM"],
])("§8.1: trailers %s reset their stream", (_what, fields, flags, error) => {
  const { send, calls } = connect();
  expect(send(headers(1), headers(1, fields, flags))).toEqual([`RST_STREAM 1 ${error}`]);
  expect(calls).toEqual(["request 1"]);
});

test("§8.1: a stream that was answered early still takes its body, and closes with its end", () => {
  for (const end of [data(1, bytesOf("late"), END), headers(1, [], ENDED_HEAD)]) {
    const { send, stream, calls, connection } = connect();
    send(headers(1));
    halfCloseLocal(stream(1));
    expect(send(data(1, bytesOf("more")), end)).toEqual([]);
    expect([calls, connection.streams.size]).toEqual([["request 1"], 0]);
  }
});

test("a handler may close the stream of a request at once", () => {
  const calls: string[] = [];
  const { send, connection } = connect({
    onRequest(stream) {
      stream.onBody = () => calls.push("body");
      sendReset(stream, ERROR_CODE.CANCEL);
    },
  });
  expect(send(headers(1, HEAD, ENDED_HEAD), headers(3))).toEqual([
    "RST_STREAM 1 CANCEL",
    "RST_STREAM 3 CANCEL",
  ]);
  expect([calls, connection.streams.size]).toEqual([[], 0]);
});

test("§5.2: the window of a stream is replenished for DATA that does not end it, and not for its last", () => {
  const { send } = connect();
  const half = Buffer.alloc(16_384);
  expect(send(headers(1), data(1, half), data(1, half))).toEqual(["WINDOW_UPDATE 1 32768"]);
  expect(send(headers(3), data(3, half), data(3, half, END))).toEqual([]);
});

test("§10.5: incomplete requests have a limit over all connections, and the connection with the most of them ends", () => {
  const server = memoryProcess({}, { incompleteRequests: 3 });
  const [most, other] = [server.connect(), server.connect()];
  expect(most.send(headers(1), headers(3))).toEqual([]);
  expect(other.send(headers(1), headers(3, HEAD, ENDED_HEAD), headers(5, HEAD, ENDED_HEAD))).toEqual([]);
  expect([server.load.incompleteRequests, most.connection.isClosed]).toEqual([3, false]);
  // This request is complete.
  expect(other.send(headers(7, HEAD, ENDED_HEAD))).toEqual([]);
  expect(most.connection.isClosed).toBe(false);
  expect(other.send(headers(9))).toEqual([]);
  expect([server.load.incompleteRequests, most.connection.isClosed, other.connection.isClosed]).toEqual([
    2,
    true,
    false,
  ]);
  expect(other.stream(9).state).toBe("open");
});

test.each([
  ["a head", headers(1, []), 0],
  ["trailers", headers(1, [["X", "1"]], ENDED_HEAD), 1],
  ["DATA that contradicts its content-length", data(1, bytesOf("ab"), END), 1],
])(
  "CVE-2025-8671: the reset for %s uses the budget, and without one the connection ends",
  (_what, frame, last) => {
    const { send, connection } = connect();
    if (last === 1) send(headers(1, ofLength(1)));
    Object.assign(connection, { resetBudget: () => false });
    expect(send(frame)).toEqual([`GOAWAY ${last} ENHANCE_YOUR_CALM`]);
  },
);
