import { expect, test } from "vitest";
import { data, headers, OPENING, settings } from "../../test/support/http2-frames.ts";
import { connectionDeps, frameClient } from "../../test/support/memory-frames.ts";
import { memorySocket } from "../../test/support/memory-socket.ts";
import { ping } from "./connection.ts";
import type { ConnectionDeps, LoadLimits, Stream } from "./connection-state.ts";
import { encodeFrame, encodeUint32s, FRAME, SETTING } from "./frames.ts";
import { createLoad } from "./load.ts";
import { serveConnection } from "./serve-connection.ts";
import { sendData, sendHead } from "./stream-writer.ts";

const ample = { process: 1_000_000, connection: 1_000_000 };
const limits: LoadLimits = {
  buffered: ample,
  pending: ample,
  unsent: { process: 100_000, connection: 20_000 },
  incompleteRequests: 100,
};
const BLOCK = Buffer.of(0x88);

/** A server of any number of clients, whose handler leaves every request open. */
function start(overrides: Partial<ConnectionDeps> = {}) {
  const streams: Stream[] = [];
  const load = createLoad([], limits);
  const deps = connectionDeps({ onRequest: (stream) => streams.push(stream), ...overrides });
  return {
    load,
    call: (at: number) => streams[at] ?? expect.fail("no request"),
    connect(...bytes: readonly Uint8Array[]) {
      const client = frameClient(memorySocket);
      const connection = serveConnection(client.socket, deps, load);
      client.send(...bytes);
      return { ...client, connection };
    },
  };
}

function respond(stream: Stream, bytes: number): void {
  sendHead(stream, BLOCK, false);
  sendData(stream, Buffer.alloc(bytes));
  stream.connection.output.flush();
}

test("§3.4: the server sends SETTINGS first, with its maximum number of streams, and widens the connection's window to 16 MiB", () => {
  const { frames } = start({ maxStreams: 7 }).connect();
  expect(frames).toEqual([
    {
      type: FRAME.SETTINGS,
      flags: 0,
      streamId: 0,
      payload: settings([SETTING.MAX_CONCURRENT_STREAMS, 7]).subarray(9),
    },
    { type: FRAME.WINDOW_UPDATE, flags: 0, streamId: 0, payload: encodeUint32s(16 * 1024 * 1024 - 65_535) },
  ]);
});

const FAULT = new Error("a fault of the handler");

test.each<[when: string, fault: (stream: Stream) => void]>([
  ["a request", throwFault],
  [
    "DATA",
    (stream) => {
      stream.onBody = throwFault;
    },
  ],
  [
    "a client that has read",
    (stream) => {
      stream.onDrain = throwFault;
    },
  ],
])(
  "an exception of a handler that is called for %s is reported, and ends its connection, and no other",
  (_when, fault) => {
    const faults: unknown[] = [];
    const { connect } = start({ onRequest: fault, onFault: (error) => faults.push(error) });
    const [other, client] = [connect(OPENING), connect(OPENING)];
    client.stopReading();
    client.send(headers(1), data(1, Buffer.of(1)));
    if (!client.socket.destroyed) {
      // More than the high-water mark of the socket.
      client.send(...Array.from({ length: 1000 }, () => encodeFrame(FRAME.PING, 0, 0, Buffer.alloc(8))));
      client.read();
    }
    expect(faults).toEqual([FAULT]);
    expect([client.socket.destroyed, other.socket.destroyed]).toEqual([true, false]);
    expect(client.connection.isClosed).toBe(true);
  },
);

function throwFault(): never {
  throw FAULT;
}

test("§5.2: the server reads nothing more from a client that leaves too many bytes unread, until the client has read", () => {
  const { connect, call, load } = start();
  const [full, over] = [connect(OPENING, headers(1)), connect(OPENING, headers(1))];
  for (const [at, client] of [full, over].entries()) {
    client.stopReading();
    // HEADERS, and two frames of DATA.
    respond(call(at), limits.unsent.connection - (9 + BLOCK.length) - 2 * 9 + at);
    client.send(encodeFrame(FRAME.PRIORITY, 0, 1, Buffer.alloc(5)));
  }
  expect([full, over].map(({ socket }) => socket.writableLength)).toEqual([20_000, 20_001]);
  expect([full, over].map(({ isReadable }) => isReadable())).toEqual([true, false]);
  expect(load.unsent.bytes()).toBe(40_001);
  over.read();
  expect([over.isReadable(), load.unsent.bytes()]).toEqual([true, 20_000]);
});

test("§5.2: the handler of each stream continues when its client has read, unless DATA still waits for a window", () => {
  const { connect, call } = start();
  const client = connect(OPENING, headers(1), headers(3));
  client.stopReading();
  const drained: number[] = [];
  for (const at of [0, 1]) call(at).onDrain = () => drained.push(call(at).id);
  respond(call(0), 65_535);
  respond(call(1), 1);
  expect(call(1).pendingBytes).toBe(1);
  expect(drained).toEqual([]);
  client.read();
  expect(drained).toEqual([1]);
  client.send(encodeFrame(FRAME.WINDOW_UPDATE, 0, 0, encodeUint32s(1)));
  expect(drained).toEqual([1, 3]);
});

test("§6.9: streams that wait for the connection's window continue with the piece that opens it", () => {
  const { connect, call } = start();
  const client = connect(OPENING, headers(1), headers(3));
  respond(call(0), 65_535);
  respond(call(1), 2);
  client.send(encodeFrame(FRAME.WINDOW_UPDATE, 0, 0, encodeUint32s(2)));
  expect(client.frames.at(-1)).toEqual({ type: FRAME.DATA, flags: 0, streamId: 3, payload: Buffer.alloc(2) });
});

test("an error of a socket does not reach the process, and its connection ends with the socket", () => {
  const { connect, call } = start();
  const client = connect(OPENING, headers(1));
  client.socket.emit("error", new Error("ECONNRESET"));
  client.close();
  expect(call(0).state).toBe("closed");
});

test("a connection that closes leaves nothing behind: its streams close, its PINGs are over, and nothing of it is counted", () => {
  const { connect, call, load } = start();
  const client = connect(OPENING, headers(1), headers(3));
  const closed: string[] = [];
  for (const at of [0, 1]) call(at).onClose = () => closed.push(`stream ${call(at).id}`);
  client.stopReading();
  respond(call(0), 30_000);
  ping(client.connection, () => closed.push("PING"));
  expect(load.unsent.bytes()).toBeGreaterThan(30_000);
  expect([load.incompleteRequests, client.connection.isClosed]).toEqual([2, false]);
  client.close();
  expect(closed).toEqual(["stream 1", "stream 3", "PING"]);
  expect([load.incompleteRequests, load.unsent.bytes(), client.connection.isClosed]).toEqual([0, 0, true]);
  client.socket.emit("data", data(1, Buffer.of(1)));
  expect(client.connection.streams.size).toBe(0);
});
