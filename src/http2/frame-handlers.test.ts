import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { echo } from "../../test/support/echo-server.ts";
import { FRAME_CASES, PREFACE_CASES } from "../../test/support/frame-cases.ts";
import {
  checkOf,
  data,
  headers,
  OPENING,
  outcome,
  SERVED,
  settings,
} from "../../test/support/http2-frames.ts";
import { connectionDeps, frameClient } from "../../test/support/memory-frames.ts";
import { memoryServer } from "../../test/support/memory-server.ts";
import { memorySocket } from "../../test/support/memory-socket.ts";
import { ping } from "./connection.ts";
import type { Connection, ConnectionDeps, Stream } from "./connection-state.ts";
import { ERROR_CODE, encodeFrame, encodeUint32s, FLAG, FRAME, SETTING } from "./frames.ts";
import { createLoad } from "./load.ts";
import { serveConnection } from "./serve-connection.ts";
import { sendData, sendHead, sendTrailers } from "./stream-writer.ts";

/** More pieces than this would only take longer. */
const MAX_PIECES = 300;
const MIN_PIECE_BYTES = 7;
const NO_BYTES = Buffer.alloc(0);

test.each(FRAME_CASES)("%s, in one piece and in many", async (_what, bytes, expected) => {
  const { connect } = memoryServer({ check: echo });
  const [atOnce, inPieces] = [frameClient(connect), frameClient(connect)];
  const all = Buffer.concat([OPENING, bytes, checkOf(20_001, "later last")]);
  atOnce.send(all);
  const pieceBytes = Math.max(MIN_PIECE_BYTES, Math.ceil(all.length / MAX_PIECES));
  for (let at = 0; at < all.length; at += pieceBytes) inPieces.send(all.subarray(at, at + pieceBytes));
  // The handler responds to "later" after a turn.
  await turn();
  for (const { lines, socket } of [atOnce, inPieces])
    expect(outcome(lines, socket.destroyed)).toEqual(expected);
  expect(expected.includes(SERVED)).not.toBe(atOnce.socket.destroyed);
});

test.each(PREFACE_CASES)("§3.4: %s", async (_what, bytes, expected) => {
  const { lines, socket, send } = frameClient(memoryServer({ check: echo }).connect);
  send(bytes);
  await turn();
  expect(outcome(lines, socket.destroyed)).toEqual(expected);
});

/** A client after its preface. Its requests stay open. */
function connect(overrides: Partial<ConnectionDeps> = {}, replaced: Partial<Connection> = {}) {
  const streams: Stream[] = [];
  const client = frameClient(memorySocket);
  const deps = connectionDeps({ onRequest: (stream) => streams.push(stream), ...overrides });
  const connection = Object.assign(serveConnection(client.socket, deps, createLoad([])), replaced);
  return { ...client, connection, streams, call: (at: number) => streams[at] ?? expect.fail("no request") };
}

test("§6.7: a PING of the server is acknowledged by its own payload only, and once", () => {
  const client = connect();
  client.send(OPENING);
  const acknowledged: string[] = [];
  ping(client.connection, () => acknowledged.push("first"));
  ping(client.connection, () => acknowledged.push("second"));
  const [first, second] = client.frames
    .filter(({ type }) => type === FRAME.PING)
    .map(({ payload }) => payload);
  expect(first).not.toEqual(second);
  const ack = (payload: Buffer = NO_BYTES) => client.send(encodeFrame(FRAME.PING, FLAG.ACK, 0, payload));
  for (let at = 0; at < 8; at++) {
    const other = Buffer.from(second ?? NO_BYTES);
    other.writeUInt8((other[at] ?? 0) ^ 0x80, at);
    ack(other);
  }
  expect(acknowledged).toEqual([]);
  for (const payload of [second, second, first, first]) ack(payload);
  expect(acknowledged).toEqual(["second", "first"]);
});

test("§3.4: a connection is established once, by its first SETTINGS", () => {
  const established: unknown[] = [];
  const client = connect({ onEstablished: (socket) => established.push(socket) });
  client.send(OPENING.subarray(0, -1));
  expect(established).toEqual([]);
  client.send(OPENING.subarray(-1));
  expect(established).toEqual([client.socket]);
  client.send(settings([SETTING.ENABLE_PUSH, 0]));
  expect(established).toEqual([client.socket]);
});

test("§6.5.3: SETTINGS take effect in their order, and the last value of a window counts", () => {
  const client = connect();
  const window = SETTING.INITIAL_WINDOW_SIZE;
  client.send(OPENING, headers(1), settings([window, 0], [window, 10], [SETTING.MAX_FRAME_SIZE, 20_000]));
  client.send(headers(3), settings([window, 7]));
  expect([client.call(0).sendWindow, client.call(1).sendWindow]).toEqual([7, 7]);
});

test("§6.5.3: a larger window is acknowledged before DATA uses it, and a smaller one stops DATA", () => {
  const client = connect();
  const window = (bytes: number) => settings([SETTING.INITIAL_WINDOW_SIZE, bytes]);
  client.send(OPENING, window(2), headers(1));
  sendHead(client.call(0), NO_BYTES, false);
  sendData(client.call(0), Buffer.from("response"));
  const sent = () =>
    client.frames
      .slice(3)
      .map(({ type, flags, payload }) => (type === FRAME.DATA ? payload.toString() : `${type} ${flags}`));
  client.send(window(5));
  expect(sent().slice(-3)).toEqual(["re", `${FRAME.SETTINGS} ${FLAG.ACK}`, "spo"]);
  client.send(window(4), encodeFrame(FRAME.WINDOW_UPDATE, 0, 1, encodeUint32s(2)));
  expect(sent().slice(-2)).toEqual([`${FRAME.SETTINGS} ${FLAG.ACK}`, "n"]);
  sendTrailers(client.call(0), NO_BYTES);
  client.send(encodeFrame(FRAME.WINDOW_UPDATE, 0, 1, encodeUint32s(2)));
  expect(sent().slice(-2)).toEqual(["se", `${FRAME.HEADERS} ${FLAG.END_HEADERS | FLAG.END_STREAM}`]);
});

test("RFC 7541 §4.2: the header block after a new table size begins with a size update to 0, and the others do not", () => {
  const client = connect();
  client.send(OPENING, ...[1, 3, 5].map((id) => headers(id)));
  const block = () => client.frames.at(-1)?.payload.toString("hex");
  const respond = (at: number) => {
    sendHead(client.call(at), Buffer.of(0x88), true);
    client.connection.output.flush();
  };
  respond(0);
  expect(block()).toBe("88");
  client.send(settings([SETTING.HEADER_TABLE_SIZE, 0]));
  respond(1);
  expect(block()).toBe("2088");
  respond(2);
  expect(block()).toBe("88");
});

test("§6.9: the reserved bit of an increment is ignored, so that an increment of 0 with this bit is an error", () => {
  const client = connect();
  const widen = (id: number, bytes: number) => encodeFrame(FRAME.WINDOW_UPDATE, 0, id, encodeUint32s(bytes));
  client.send(OPENING, headers(1), widen(0, 2 ** 31 + 1), widen(1, 2 ** 31 + 2));
  expect([client.connection.sendWindow, client.call(0).sendWindow]).toEqual([65_536, 65_537]);
  client.send(widen(1, 2 ** 31));
  expect(client.lines.at(-1)).toBe("RST_STREAM 1 PROTOCOL_ERROR");
  client.send(widen(0, 2 ** 31));
  expect(client.lines.at(-1)).toBe("GOAWAY 1 PROTOCOL_ERROR");
});

test("§5.1: frames of any kind that were under way when the server reset their stream have no effect", () => {
  const client = connect();
  client.send(OPENING, headers(1), encodeFrame(FRAME.PRIORITY, 0, 1, Buffer.alloc(4)));
  expect(client.lines.at(-1)).toBe("RST_STREAM 1 FRAME_SIZE_ERROR");
  const before = client.frames.length;
  client.send(
    encodeFrame(FRAME.PRIORITY, 0, 1, Buffer.alloc(4)),
    encodeFrame(FRAME.WINDOW_UPDATE, 0, 1, encodeUint32s(0)),
    encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(ERROR_CODE.CANCEL)),
    data(1, Buffer.alloc(9), FLAG.END_STREAM),
  );
  expect(client.frames.length).toBe(before);
});

test.each<[frame: string, brokenFrame: (id: number) => Buffer]>([
  ["WINDOW_UPDATE", (id) => encodeFrame(FRAME.WINDOW_UPDATE, 0, id, encodeUint32s(0))],
  ["PRIORITY", (id) => encodeFrame(FRAME.PRIORITY, 0, id, Buffer.alloc(4))],
])(
  "§5.4.2: a stream that %s breaks uses the reset budget, and without budget the connection ends",
  (_frame, brokenFrame) => {
    let budget = 2;
    const client = connect({}, { resetBudget: () => budget-- > 0 });
    client.send(OPENING, ...[1, 3, 5].flatMap((id) => [headers(id), brokenFrame(id)]));
    expect(client.lines.filter((line) => line.startsWith("RST_STREAM")).length).toBe(2);
    expect(client.lines.at(-1)).toBe("GOAWAY 5 ENHANCE_YOUR_CALM");
  },
);

test("§6.4: a reset by the client closes its stream, and only this one", () => {
  const client = connect();
  client.send(OPENING, headers(1), headers(3), encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(8)));
  expect(client.streams.map(({ state }) => state)).toEqual(["closed", "open"]);
});
