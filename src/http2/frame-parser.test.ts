import { expect, test } from "vitest";
import { data, headers, OPENING, SETTINGS } from "../../test/support/http2-frames.ts";
import { connectionDeps, frameClient } from "../../test/support/memory-frames.ts";
import { memorySocket } from "../../test/support/memory-socket.ts";
import { failConnection } from "./connection.ts";
import { ERROR_CODE, encodeFrame, FLAG, FRAME, MAX_FRAME_BYTES, PREFACE } from "./frames.ts";
import { createLoad } from "./load.ts";
import { serveConnection } from "./serve-connection.ts";

/** A client, and the requests and DATA that its handler has received. */
function connect() {
  const received: string[] = [];
  const client = frameClient(memorySocket);
  const deps = connectionDeps({
    onRequest(stream) {
      received.push(`request ${stream.id}`);
      stream.onBody = (_stream, piece) => received.push(piece.toString("latin1"));
    },
  });
  return { ...client, received, connection: serveConnection(client.socket, deps, createLoad([])) };
}

const ERROR_LINE = "GOAWAY 0 PROTOCOL_ERROR";

test("§3.4: a preface that differs in any byte ends the connection with this byte, also if it is the last one that has arrived", () => {
  for (let at = 0; at < PREFACE.length; at++) {
    const preface = Buffer.from(PREFACE);
    preface.writeUInt8((preface[at] ?? 0) ^ 1, at);
    const [atOnce, inPieces] = [connect(), connect()];
    atOnce.send(preface.subarray(0, at + 1));
    for (const byte of preface.subarray(0, at)) expect(inPieces.send(Buffer.of(byte))).toBe(true);
    expect(inPieces.lines).not.toContain(ERROR_LINE);
    inPieces.send(preface.subarray(at));
    for (const { lines, socket } of [atOnce, inPieces]) {
      expect(lines).toContain(ERROR_LINE);
      expect(socket.destroyed).toBe(true);
    }
  }
});

test("§3.4: a correct preface is expected in any pieces, and its last piece may contain frames", () => {
  for (let cut = 0; cut <= PREFACE.length; cut++) {
    const client = connect();
    client.send(PREFACE.subarray(0, cut));
    expect(client.lines).toEqual(["SETTINGS", "WINDOW_UPDATE 0 16711681"]);
    client.send(PREFACE.subarray(cut), SETTINGS, headers(1));
    expect(client.received).toEqual(["request 1"]);
  }
});

test("§4.1: a frame is processed with its last byte, and not before: empty, short and of the maximum size", () => {
  const frames = [
    headers(1),
    data(1, Buffer.alloc(0)),
    data(1, Buffer.of(0x61)),
    data(1, Buffer.alloc(MAX_FRAME_BYTES, "b")),
  ];
  const stream = Buffer.concat([...frames, encodeFrame(FRAME.PING, 0, 0, Buffer.from("pingpong"))]);
  const whole = ["request 1", "a", "b".repeat(MAX_FRAME_BYTES)];
  const ends = frames.map((_frame, index) => Buffer.concat(frames.slice(0, index + 1)).length);
  for (const end of [...ends, stream.length])
    for (const cut of [end - 1, end, end + 1, end + 8, end + 9]) {
      const client = connect();
      client.send(OPENING, stream.subarray(0, cut));
      const complete = ends.filter((each) => each <= cut).length;
      // The empty DATA frame has no piece.
      expect(client.received).toEqual(whole.slice(0, complete < 2 ? complete : complete - 1));
      client.send(stream.subarray(cut));
      expect(client.received).toEqual(whole);
      expect(client.lines).toContain("PING ACK 70696e67706f6e67");
    }
});

test("§4.2: a frame above the maximum size ends the connection with its head, before its payload has arrived", () => {
  const client = connect();
  const head = Buffer.from("004001" + "000000000001", "hex");
  client.send(OPENING, head.subarray(0, 8));
  expect(client.socket.destroyed).toBe(false);
  client.send(head.subarray(8));
  expect(client.lines.at(-1)).toBe("GOAWAY 0 FRAME_SIZE_ERROR");
  expect(client.socket.destroyed).toBe(true);
});

test("§5.4.1: after a connection error no frame is processed, neither in the same piece nor in a later one", () => {
  const client = connect();
  client.send(OPENING);
  // The connection stays open until the client has read everything.
  client.stopReading();
  client.send(headers(1), encodeFrame(FRAME.SETTINGS, 0, 1, Buffer.alloc(0)), headers(3));
  expect(client.lines.at(-1)).toBe("GOAWAY 1 PROTOCOL_ERROR");
  expect(client.send(headers(5))).toBe(true);
  expect(client.received).toEqual(["request 1"]);
  client.read();
  expect(client.socket.destroyed).toBe(true);
});

test("the rest of an incomplete frame stays unchanged if the memory of its chunk is used again", () => {
  const frame = data(1, Buffer.from("unchanged"));
  for (const [first, second] of [
    [Buffer.concat([OPENING, headers(1), frame.subarray(0, 12)]), frame.subarray(12)],
    [OPENING.subarray(0, 9), Buffer.concat([OPENING.subarray(9), headers(1), frame])],
  ] as const) {
    const client = connect();
    const chunk = Buffer.from(first);
    client.deliver(chunk);
    chunk.fill(0);
    client.send(second);
    expect(client.received).toEqual(["request 1", "unchanged"]);
  }
});

test("§6.10: only a CONTINUATION of the same stream may follow an incomplete header block", () => {
  const block = headers(1).subarray(9);
  const start = encodeFrame(FRAME.HEADERS, 0, 1, block.subarray(0, 3));
  const rest = (id: number) => encodeFrame(FRAME.CONTINUATION, FLAG.END_HEADERS, id, block.subarray(3));
  const served = connect();
  served.send(OPENING, start, rest(1));
  expect(served.received).toEqual(["request 1"]);
  for (const other of [
    rest(3),
    headers(1),
    headers(3),
    data(1, Buffer.alloc(0)),
    SETTINGS,
    encodeFrame(0x42, 0, 1, block),
  ]) {
    const client = connect();
    client.send(OPENING, start, other, rest(1));
    expect(client.lines.at(-1)).toBe(ERROR_LINE);
    expect(client.received).toEqual([]);
  }
});

test("§5.4.1: on a connection that the server has ended, no further frame is processed", () => {
  const client = connect();
  client.send(OPENING);
  client.stopReading();
  failConnection(client.connection, ERROR_CODE.ENHANCE_YOUR_CALM);
  expect(client.send(headers(1))).toBe(true);
  expect(client.received).toEqual([]);
});
