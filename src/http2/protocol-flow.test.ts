import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { removeAtEnd } from "../../test/support/at-end.ts";
import { echo } from "../../test/support/echo-server.ts";
import { frame as grpcFrame } from "../../test/support/grpc-client.ts";
import type { FrameConnection } from "../../test/support/http2-frames.ts";
import {
  checkOf,
  connectFrames,
  data,
  HEAD,
  headers,
  lastMessage,
  OPENING,
  padded,
  SETTINGS,
  settings,
} from "../../test/support/http2-frames.ts";
import { checkMethod } from "../ext-authz/method.ts";
import type { GrpcServer } from "../grpc/server.ts";
import { startGrpcServer } from "../grpc/server.ts";
import { encodeFrame, encodeUint32s, FLAG, FRAME, SETTING } from "./frames.ts";
import { encodeHeaderBlock } from "./header-encoder.ts";

let server: GrpcServer;
let connection: FrameConnection;
const faults: unknown[] = [];
/** The messages that the handler has received. */
let received: string[];
/** Lets the handler respond to the messages "held". */
let releaseAll: () => void;

beforeEach(() => open("127.0.0.1:0"));

async function open(listen: string): Promise<void> {
  const held = Promise.withResolvers<void>();
  releaseAll = held.resolve;
  received = [];
  const check = (message: Uint8Array | undefined) => {
    received.push(Buffer.from(message ?? "").toString());
    const response = echo(message);
    return received.at(-1) === "held" ? held.promise.then(() => response) : response;
  };
  server = await startGrpcServer({
    listen,
    methods: [checkMethod(check)],
    onFault: (error) => faults.push(error),
  });
  connection = await connectFrames(server.address);
}

afterEach(close);

async function close(): Promise<void> {
  connection.socket.destroy();
  releaseAll();
  await server.close(0);
  expect(faults).toEqual([]);
}

const REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const WINDOW = SETTING.INITIAL_WINDOW_SIZE;
const NO_BYTES = Buffer.alloc(0);
const PING = encodeFrame(FRAME.PING, 0, 0, Buffer.alloc(8));
const PONG = "PING ACK 0000000000000000";

function widen(streamId: number, more: number): Buffer {
  return encodeFrame(FRAME.WINDOW_UPDATE, 0, streamId, encodeUint32s(more));
}

/** The DATA payloads of a response. */
function dataOf(streamId: number): Buffer[] {
  return connection.frames
    .filter((seen) => seen.streamId === streamId && seen.type === FRAME.DATA)
    .map(({ payload }) => payload);
}

function bytesOf(streamId: number): number {
  return dataOf(streamId).reduce((sum, { length }) => sum + length, 0);
}

/** Waits until the server has processed everything that was sent. */
async function settle(): Promise<void> {
  const before = connection.lines.filter((line) => line === PONG).length;
  await connection.send(PING);
  await connection.untilSeen(() => connection.lines.filter((line) => line === PONG).length > before);
}

/** Sends a Check in several frames, within the window of its stream. */
async function sendLarge(streamId: number, text: string): Promise<void> {
  const message = grpcFrame(Buffer.from(text));
  await connection.send(headers(streamId));
  let window = 65_535;
  for (let at = 0; at < message.length; at += 16_384) {
    const piece = message.subarray(at, at + 16_384);
    if (window < piece.length) {
      const seen = connection.lines.length;
      await connection.untilSeen(() =>
        connection.lines.slice(seen).some((line) => line.startsWith(`WINDOW_UPDATE ${streamId} `)),
      );
      window = 65_535;
    }
    window -= piece.length;
    await connection.send(data(streamId, piece, at + 16_384 >= message.length ? FLAG.END_STREAM : 0));
  }
}

test("§4.2: a response of 200 KiB has frames of at most 16,384 bytes, even if the client accepts larger ones", async () => {
  await connection.send(
    OPENING,
    settings([WINDOW, 2 ** 31 - 1], [SETTING.MAX_FRAME_SIZE, 2 ** 24 - 1]),
    widen(0, 2 ** 30),
  );
  const text = Array.from({ length: 20_480 }, (_, index) => String(index).padStart(10, ".")).join("");
  await sendLarge(1, text);
  await connection.until(/^1 /);
  expect(Buffer.concat(dataOf(1))).toEqual(grpcFrame(Buffer.from(text)));
  expect(Math.max(...dataOf(1).map(({ length }) => length))).toBe(16_384);
});

const TEXT = "exactly these bytes, in this order, and then the trailers";
const MESSAGE = grpcFrame(Buffer.from(TEXT));
const ANSWERED = `1 answered: ${TEXT}`;

test.each([
  ["WINDOW_UPDATE", 1, (bytes: number) => widen(1, bytes)],
  ["WINDOW_UPDATE", 7, (bytes: number) => widen(1, bytes)],
  ["SETTINGS", 1, (_bytes: number, total: number) => settings([WINDOW, total])],
  ["SETTINGS", 7, (_bytes: number, total: number) => settings([WINDOW, total])],
])(
  "§6.9.2: if %s opens a window of 0 by %i bytes at a time, exactly these bytes are sent",
  async (_by, step, open) => {
    await connection.send(OPENING, settings([WINDOW, 0]), checkOf(1, TEXT));
    await settle();
    expect([bytesOf(1), connection.lines.includes(ANSWERED)]).toEqual([0, false]);
    for (let total = step; total < MESSAGE.length; total += step) {
      await connection.send(open(step, total));
      await settle();
      expect(Buffer.concat(dataOf(1))).toEqual(MESSAGE.subarray(0, total));
      expect(connection.lines).not.toContain(ANSWERED);
    }
    await connection.send(open(step, MESSAGE.length));
    await connection.until(ANSWERED);
  },
);

test("§6.9.2: SETTINGS may reduce a window below zero, and it must be positive again before more is sent", async () => {
  await connection.send(OPENING, settings([WINDOW, 20]), checkOf(1, TEXT));
  await settle();
  await connection.send(settings([WINDOW, 5]), widen(1, 15));
  await settle();
  expect(bytesOf(1)).toBe(20);
  await connection.send(widen(1, 1));
  await settle();
  expect(bytesOf(1)).toBe(21);
  await connection.send(settings([WINDOW, 0], [WINDOW, 1000]));
  await connection.until(ANSWERED);
});

test("§6.5.3: DATA for a larger window follows the acknowledgement of its SETTINGS", async () => {
  await connection.send(OPENING, settings([WINDOW, 0]), checkOf(1, TEXT));
  await settle();
  const before = connection.frames.length;
  await connection.send(settings([WINDOW, 1000]));
  await connection.until(ANSWERED);
  expect(connection.frames.slice(before).map(({ type }) => type)).toEqual([
    FRAME.SETTINGS,
    FRAME.DATA,
    FRAME.HEADERS,
  ]);
});

test("§6.9: streams share the window of the connection, and all responses are sent in the end", async () => {
  await connection.send(OPENING, settings([WINDOW, 2 ** 31 - 1]));
  await sendLarge(1, "a".repeat(60_000));
  await sendLarge(3, "b".repeat(60_000));
  await connection.until("1 answered: 60000 bytes");
  await settle();
  expect(bytesOf(3)).toBe(65_535 - 60_005);
  await connection.send(checkOf(5, "small"), widen(0, 60_005 - (65_535 - 60_005)));
  await connection.until("3 answered: 60000 bytes");
  expect(connection.lines).not.toContain("5 answered: small");
  await connection.send(widen(0, 10));
  await connection.until("5 answered: small");
});

test("§6.9: small responses use the connection's window as well", async () => {
  const text = "x".repeat(3995);
  await connection.send(OPENING, ...Array.from({ length: 20 }, (_, index) => checkOf(2 * index + 1, text)));
  await settle();
  const receivedBytes = () => Array.from({ length: 20 }, (_, index) => bytesOf(2 * index + 1));
  expect(receivedBytes().reduce((sum, bytes) => sum + bytes, 0)).toBe(65_535);
  await connection.send(widen(0, 20 * 4000 - 65_535));
  await connection.until("39 answered: 3995 bytes");
  expect(receivedBytes()).toEqual(Array.from({ length: 20 }, () => 4000));
});

test.each([
  ["", 0],
  [", with padding,", 255],
])("§6.9.1: more DATA than the window of a stream%s resets that stream only", async (_what, padding) => {
  const piece = encodeFrame(
    FRAME.DATA,
    FLAG.PADDED,
    1,
    Buffer.concat([Buffer.of(padding), Buffer.alloc(16_383)]),
  );
  // The window of a call that is rejected at its head is not replenished.
  const head = HEAD.with(2, [":path", REFLECTION]).with(4, ["content-type", "text/html"]);
  const rejected = [headers(1, head)];
  await connection.send(OPENING, ...rejected, piece, piece, piece, piece, checkOf(3, "next"));
  await connection.until("3 answered: next");
  expect(connection.lines.slice(3)).toEqual([
    "1 rejected: 415, undefined",
    "RST_STREAM 1 FLOW_CONTROL_ERROR",
    "3 answered: next",
  ]);
});

test("§6.9: the window is replenished for padding as well: the stream continues after 640 KiB of it", async () => {
  const message = grpcFrame(Buffer.from("after the padding"));
  await connection.send(OPENING, headers(1));
  let window = 65_535;
  let seen = 0;
  for (let sent = 0; sent < 40; sent++) {
    const isOpen = () => {
      const updates = connection.lines.filter((line) => line.startsWith("WINDOW_UPDATE 1 "));
      for (; seen < updates.length; seen++) window += Number(updates[seen]?.split(" ").at(-1));
      return window >= 16_384;
    };
    await connection.untilSeen(isOpen);
    window -= 16_384;
    await connection.send(...Array.from({ length: 64 }, () => padded(FRAME.DATA, 1, NO_BYTES, 255)));
  }
  await connection.send(data(1, message, FLAG.END_STREAM));
  await connection.until("1 answered: after the padding");
});

test("§5.1: frames that arrive after the server has reset their stream are discarded, and use no reset budget", async () => {
  const late = Buffer.concat([
    data(1, Buffer.alloc(100)),
    headers(1, [["x-end", "1"]], FLAG.END_HEADERS | FLAG.END_STREAM),
    encodeFrame(FRAME.WINDOW_UPDATE, 0, 1, encodeUint32s(0)),
    encodeFrame(FRAME.PRIORITY, 0, 1, Buffer.alloc(4)),
    headers(1),
    data(1, NO_BYTES, FLAG.END_STREAM),
    encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(8)),
  ]);
  await connection.send(OPENING, headers(1), encodeFrame(FRAME.WINDOW_UPDATE, 0, 1, encodeUint32s(0)));
  for (let times = 0; times < 30; times++) await connection.send(...Array.from({ length: 1000 }, () => late));
  await connection.send(checkOf(3, "next"));
  await connection.until("3 answered: next");
  expect(connection.lines.slice(3)).toEqual(["RST_STREAM 1 PROTOCOL_ERROR", "3 answered: next"]);
});

test("§6.7: each PING of the server has a unique payload, and an acknowledgement with another payload is ignored", async () => {
  await connection.send(OPENING, checkOf(1, "held"));
  await settle();
  const closed = server.close(60_000);
  await connection.until(/^PING 0/);
  const ping = connection.frames.find(({ type, flags }) => type === FRAME.PING && flags === 0);
  const other = Buffer.from(ping?.payload ?? NO_BYTES);
  other[0] = 1;
  await connection.send(encodeFrame(FRAME.PING, FLAG.ACK, 0, other));
  await settle();
  expect(connection.lines.filter((line) => line.startsWith("GOAWAY"))).toHaveLength(1);
  await connection.send(encodeFrame(FRAME.PING, FLAG.ACK, 0, ping?.payload ?? NO_BYTES));
  await connection.until(/^GOAWAY 1 /);
  releaseAll();
  await closed;
});

test("§6.9.1: the connection's window is replenished for all DATA, even for DATA on closed streams", async () => {
  const piece = data(1, Buffer.alloc(16_384));
  await connection.send(OPENING, checkOf(1, "hello"));
  // 24 MiB that no handler receives.
  for (let i = 0; i < 96; i++) await connection.send(...Array.from({ length: 16 }, () => piece));
  await connection.send(checkOf(3, "next"));
  await connection.until("3 answered: next");
  const increments = connection.lines
    .flatMap((line) => /^WINDOW_UPDATE 0 (\d+)/.exec(line)?.[1] ?? [])
    .map(Number);
  const window = 65_535 + increments.reduce((sum, more) => sum + more, 0) - 96 * 16 * 16_384 - 2 * 15;
  expect(window).toBeGreaterThan(8 * 1024 * 1024 - 1);
  expect(window).toBeLessThanOrEqual(16 * 1024 * 1024);
});

test("RFC 7541 §4.2: after the client has changed its table size, the next block begins with a size update to 0", async () => {
  const firstBytes = (streamId: number) =>
    connection.frames
      .filter((seen) => seen.type === FRAME.HEADERS && seen.streamId === streamId)
      .map(({ payload }) => payload[0] === 0x20);
  await connection.send(OPENING, checkOf(1, "before"));
  await connection.send(settings([SETTING.HEADER_TABLE_SIZE, 0]), checkOf(3, "after"), checkOf(5, "again"));
  await connection.send(settings([SETTING.HEADER_TABLE_SIZE, 100]), headers(7, HEAD.with(2, [":path", "/"])));
  await connection.until(/^7 rejected/);
  expect([1, 3, 5, 7].map(firstBytes)).toEqual([[false, false], [true, false], [false, false], [true]]);
});

test("RFC 7541 §4.2: the next block may be pending trailers", async () => {
  await connection.send(OPENING, settings([WINDOW, 10]), checkOf(1, TEXT));
  await settle();
  await connection.send(settings([SETTING.HEADER_TABLE_SIZE, 0]), widen(1, 1000), checkOf(3, "next"));
  await connection.until("3 answered: next");
  const blocks = connection.frames.filter(({ type }) => type === FRAME.HEADERS);
  expect(blocks.map(({ streamId, payload }) => [streamId, payload[0] === 0x20])).toEqual([
    [1, false],
    [1, true],
    [3, false],
    [3, false],
  ]);
});

const REFLECT = headers(1, HEAD.with(2, [":path", REFLECTION]));
/** ServerReflectionRequest.list_services */
const REQUEST = grpcFrame(Buffer.from([0x3a, 1, 0x78]));

test("thousands of reflection requests in one frame all get their responses in order", async () => {
  const requests = Buffer.concat(Array.from({ length: 2000 }, () => REQUEST));
  await connection.send(OPENING, settings([WINDOW, 2 ** 31 - 1]), widen(0, 2 ** 30), REFLECT);
  await connection.send(data(1, requests, FLAG.END_STREAM));
  await connection.until(/^1 /);
  expect(dataOf(1)).toHaveLength(2000);
});

test("§6.9: reflection requests wait while a response is pending, and are served after the window has grown", async () => {
  const requests = Buffer.concat([REQUEST, REQUEST, REQUEST]);
  await connection.send(OPENING, settings([WINDOW, 10]), REFLECT, data(1, requests, FLAG.END_STREAM));
  await settle();
  expect(bytesOf(1)).toBe(10);
  await connection.send(widen(1, 10_000));
  await connection.until(/^1 /);
  expect(dataOf(1)).toHaveLength(4);
});

test("§5.2: a client that takes no responses gets no credit for more requests, until it takes them", async () => {
  const frame = Buffer.concat(Array.from({ length: 2000 }, () => REQUEST));
  const credit = () => connection.lines.filter((line) => line.startsWith("WINDOW_UPDATE 1 "));
  await connection.send(OPENING, settings([WINDOW, 10]), widen(0, 2 ** 30), REFLECT);
  // More than half of the window of the stream.
  await connection.send(data(1, frame), data(1, frame), data(1, frame));
  await settle();
  expect(credit()).toEqual([]);
  await connection.send(widen(1, 2 ** 30));
  await connection.untilSeen(() => credit().length > 0);
  await connection.send(data(1, NO_BYTES, FLAG.END_STREAM));
  await connection.until(/^1 /);
  expect(dataOf(1).length).toBeGreaterThanOrEqual(6000);
});

test("§5.4.1: a client that reads slowly gets all responses before a connection error, then GOAWAY; later frames are ignored", async () => {
  await close();
  const folder = mkdtempSync(join(tmpdir(), "latchkey-frames-"));
  removeAtEnd(folder);
  // A Unix socket buffers little, so the rest waits in the server.
  await open(`unix:${join(folder, "grpc.sock")}`);
  // Few enough for what a stream answers while its client reads nothing: it then takes no more requests.
  const requests = Buffer.concat(Array.from({ length: 1400 }, () => REQUEST));
  connection.socket.pause();
  await connection.send(
    OPENING,
    settings([WINDOW, 2 ** 31 - 1]),
    widen(0, 2 ** 30),
    REFLECT,
    data(1, requests),
    data(1, requests),
    checkOf(3, "later, which is too late"),
    data(0, NO_BYTES),
    checkOf(5, "after the error"),
  );
  await expect.poll(() => received.length).toBeGreaterThan(0);
  await setTimeout(20);
  connection.socket.resume();
  await connection.closed;
  expect(dataOf(1)).toHaveLength(2800);
  expect(connection.lines.at(-1)).toBe("GOAWAY 3 PROTOCOL_ERROR");
  expect(received).toEqual(["later, which is too late"]);
});

test("§10.5: a client may reset any number of its streams: Envoy does so for each client that disconnects", async () => {
  await connection.send(OPENING);
  const [block, message] = [encodeHeaderBlock(HEAD), grpcFrame(Buffer.from("held"))];
  const aborted = Array.from({ length: 50_000 }, (_, index) => [
    encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS, 2 * index + 1, block),
    data(2 * index + 1, message, FLAG.END_STREAM),
    encodeFrame(FRAME.RST_STREAM, 0, 2 * index + 1, encodeUint32s(8)),
  ]);
  await connection.send(Buffer.concat(aborted.flat()), checkOf(100_001, "next"));
  await connection.until("100001 answered: next");
  expect(received).toHaveLength(50_001);
  expect(connection.lines.slice(3)).toEqual(["100001 answered: next"]);
});

test.each([
  [
    "that a client causes",
    (id: number) => Buffer.concat([headers(id), encodeFrame(FRAME.WINDOW_UPDATE, 0, id, encodeUint32s(0))]),
  ],
  ["of streams with malformed heads", (id: number) => headers(id, [])],
])(
  "§10.5: thousands of resets by the server within a short time end the connection: %s",
  async (_what, one) => {
    await connection.send(
      OPENING,
      ...Array.from({ length: 1500 }, (_, index) => one(2 * index + 1)),
      checkOf(9001, "next"),
    );
    await connection.until("9001 answered: next");
    expect(connection.lines).toContain("9001 answered: next");
    await connection.send(...Array.from({ length: 13_000 }, (_, index) => one(2 * index + 9003)));
    await connection.closed;
    expect(connection.lines.at(-1)).toMatch(/^GOAWAY \d+ ENHANCE_YOUR_CALM$/);
  },
);

test("a process that was stopped closes no connection whose SETTINGS or acknowledgement has arrived", async () => {
  await close();
  vi.useFakeTimers({ toFake: ["setInterval", "performance"] });
  onTestFinished(() => void vi.useRealTimers());
  await open("127.0.0.1:0");
  await connection.until(/^WINDOW_UPDATE 0/);
  await setTimeout(1); // From here to the next `await`, the event loop runs timers, as it does first after a stop.
  void connection.send(OPENING);
  vi.advanceTimersByTime(6000);
  await connection.send(checkOf(1, "served"));
  await connection.until("1 answered: served");
  vi.advanceTimersByTime(24_000);
  await connection.until(/^PING 0/);
  const { payload } = connection.frames.findLast(({ type }) => type === FRAME.PING) ?? expect.unreachable();
  await setTimeout(1);
  void connection.send(encodeFrame(FRAME.PING, FLAG.ACK, 0, payload));
  vi.advanceTimersByTime(30_000);
  await connection.send(checkOf(3, "still served"));
  await connection.until("3 answered: still served");
  expect(connection.lines.filter((line) => line.includes("served"))).toEqual([
    "1 answered: served",
    "3 answered: still served",
  ]);
});

test("a client that reads late gets every response unchanged", async () => {
  await close();
  const folder = mkdtempSync(join(tmpdir(), "latchkey-late-"));
  removeAtEnd(folder);
  const ids = Array.from({ length: 20_000 }, (_, index) => 2 * index + 1);
  const textOf = (id: number) => `${id} `.repeat(90).slice(0, 90);
  const checks = ids.map((id) => checkOf(id, textOf(id)));
  await open(`unix:${join(folder, "grpc.sock")}`);
  await connection.send(OPENING, widen(0, 2 ** 30));
  connection.socket.pause();
  void connection.send(...checks);
  await expect.poll(() => received.length).toBeGreaterThan(2000);
  connection.socket.resume();
  await connection.until(`39999 answered: ${textOf(39_999)}`);
  const answers = connection.lines.filter((line) => line.includes("answered"));
  expect(answers).toEqual(ids.map((id) => `${id} answered: ${textOf(id)}`));
});

test("§10.5: a hundred SETTINGS frames at once are accepted, and a connection that sends more ends", async () => {
  await connection.send(OPENING, ...Array.from({ length: 90 }, () => SETTINGS), checkOf(1, "next"));
  await connection.until("1 answered: next");
  expect(connection.lines).toContain("1 answered: next");
  await connection.send(...Array.from({ length: 100 }, () => SETTINGS));
  await connection.closed;
  expect(connection.lines.at(-1)).toBe("GOAWAY 1 ENHANCE_YOUR_CALM");
});

test("§10.5: any number of resets of closed streams has no effect", async () => {
  const reset = encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(8));
  await connection.send(OPENING, checkOf(1, "hello"), ...Array.from({ length: 20_000 }, () => reset));
  await connection.send(checkOf(3, "next"));
  await connection.until("3 answered: next");
  expect(connection.lines).toContain("3 answered: next");
});

test("§5.2: pending responses have a limit for each connection, and streams above it are reset", async () => {
  const message = grpcFrame(Buffer.alloc(60_000, "m"));
  const pieces = [0, 1, 2, 3].map((at) => message.subarray(at * 16_384, (at + 1) * 16_384));
  const callOf = (id: number) => [
    headers(id),
    ...pieces.map((piece, at) => data(id, piece, at === 3 ? FLAG.END_STREAM : 0)),
  ];
  const ids = Array.from({ length: 80 }, (_, index) => 2 * index + 1);
  await connection.send(OPENING, settings([WINDOW, 0]), ...ids.flatMap(callOf));
  await connection.until("RST_STREAM 159 ENHANCE_YOUR_CALM");
  const isReset = (line: string) => line.startsWith("RST_STREAM");
  const resets = connection.lines.filter(isReset).length;
  expect(resets).toBeGreaterThan(5);
  expect(resets).toBeLessThan(20);
  await connection.send(widen(0, 2 ** 30), settings([WINDOW, 2 ** 20]));
  await connection.until(`${2 * (80 - resets) - 1} answered: 60000 bytes`);
  expect(connection.lines.filter((line) => line.endsWith("answered: 60000 bytes"))).toHaveLength(80 - resets);
});

test("§6.8: a server that closes sends GOAWAY, serves requests that are under way, and closes after the last one", async () => {
  await connection.send(OPENING, checkOf(1, "held"), headers(3));
  await settle();
  const closed = server.close(60_000);
  await connection.until(/^PING 0/);
  expect(connection.lines.slice(4)).toEqual([`GOAWAY ${2 ** 31 - 1} NO_ERROR`, "PING 0000000000000000"]);
  await connection.send(checkOf(5, "under way"), encodeFrame(FRAME.PING, FLAG.ACK, 0, Buffer.alloc(8)));
  await connection.until(/^GOAWAY 5/);
  expect(connection.lines.slice(6)).toEqual(["5 answered: under way", "GOAWAY 5 NO_ERROR"]);
  // GOAWAY says that these are not processed, so they are ignored without a reset.
  const late = Array.from({ length: 3000 }, (_, index) => checkOf(2 * index + 7, "too late"));
  await connection.send(...late, lastMessage(3, "open"));
  await connection.until("3 answered: open");
  expect(connection.lines.slice(8)).toEqual(["3 answered: open"]);
  releaseAll();
  await connection.closed;
  expect(connection.lines.slice(9)).toEqual(["1 answered: held"]);
  await closed;
});

test("§6.8: the last GOAWAY of a server that closes has no higher stream id than the one before", async () => {
  await connection.send(OPENING, checkOf(1, "held"));
  await settle();
  const closed = server.close(60_000);
  await connection.until(/^GOAWAY 1 /);
  await connection.send(headers(3), data(0, NO_BYTES));
  await connection.closed;
  expect(connection.lines.filter((line) => line.startsWith("GOAWAY"))).toEqual([
    `GOAWAY ${2 ** 31 - 1} NO_ERROR`,
    "GOAWAY 1 NO_ERROR",
    "GOAWAY 1 PROTOCOL_ERROR",
  ]);
  await closed;
});

test("a server that closes does not wait for connections without open streams, or without SETTINGS", async () => {
  const silent = await connectFrames(server.address);
  await connection.send(OPENING, SETTINGS);
  await server.close(60_000);
  await Promise.all([silent.closed, connection.closed]);
  expect(silent.lines.slice(2)).toEqual([
    `GOAWAY ${2 ** 31 - 1} NO_ERROR`,
    "PING 0000000000000000",
    "GOAWAY 0 NO_ERROR",
  ]);
});
