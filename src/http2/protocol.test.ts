import { expect, test } from "vitest";
import { echoDoor } from "../../test/support/echo-door.ts";
import {
  checkOf,
  connectFrames,
  data,
  ended,
  headers,
  lastMessage,
  OPENING,
  outcomeOf,
  outcomeOfRaw,
  padded,
  SERVED,
  SETTINGS,
  settings,
} from "../../test/support/http2-frames.ts";
import { encodeFrame, encodeUint32s, FLAG, FRAME, PREFACE, SETTING } from "./frames.ts";

const door = echoDoor();

const NOTHING = Buffer.alloc(0);
const OPEN = headers(1);
const ANSWERED = "1 answered: hello";
const LAST = checkOf(20_001, "later last");
const PING = Buffer.from("pingpong");

type Case = readonly [what: string, bytes: Buffer, outcome: readonly string[]];

test.each<Case>([
  ["another preface", Buffer.from("PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n"), ended("PROTOCOL_ERROR")],
  ["a preface of HTTP/1", Buffer.from("GET / HTTP/1.1\r\nhost: latchkey\r\n\r\n"), ended("PROTOCOL_ERROR")],
  [
    "a preface that is wrong at its end",
    Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r"),
    ended("PROTOCOL_ERROR"),
  ],
  [
    "no SETTINGS before a PING",
    Buffer.concat([PREFACE, encodeFrame(6, 0, 0, PING)]),
    ended("PROTOCOL_ERROR"),
  ],
  ["no SETTINGS before a call", Buffer.concat([PREFACE, checkOf(1, "hello")]), ended("PROTOCOL_ERROR")],
  [
    "no SETTINGS before an unknown frame",
    Buffer.concat([PREFACE, encodeFrame(99, 0, 0, PING)]),
    ended("PROTOCOL_ERROR"),
  ],
  [
    "no SETTINGS but their acknowledgement",
    Buffer.concat([PREFACE, encodeFrame(4, 1, 0, NOTHING), LAST]),
    ended("PROTOCOL_ERROR"),
  ],
  ["a good opening", Buffer.concat([OPENING, LAST]), [SERVED]],
])("§3.4: %s", async (_what, bytes, outcome) => {
  expect(await outcomeOfRaw(door.address(), bytes)).toEqual(outcome);
});

test("§3.4: the server begins with SETTINGS, before it has heard anything, and acknowledges those that come", async () => {
  const connection = await connectFrames(door.address());
  await connection.until(/^WINDOW_UPDATE/);
  expect(connection.lines).toEqual(["SETTINGS", "WINDOW_UPDATE 0 16711681"]);
  const [greeting] = connection.frames;
  expect(greeting?.payload).toEqual(settings([3, 1024]).subarray(9));
  await connection.send(OPENING);
  await connection.until("SETTINGS ACK");
  expect(connection.lines).toEqual(["SETTINGS", "WINDOW_UPDATE 0 16711681", "SETTINGS ACK"]);
  connection.socket.destroy();
});

test("§3.4: a preface that is cut off ends with its connection", async () => {
  const connection = await connectFrames(door.address());
  await connection.send(PREFACE.subarray(0, 10));
  connection.socket.end();
  await connection.closed;
  expect(connection.lines).toEqual(["SETTINGS", "WINDOW_UPDATE 0 16711681"]);
});

/** GOAWAY tells the last call that was taken: 1 where there is one. */
const CASES: readonly Case[] = [
  ["§4.1: a frame of a type that nobody knows is passed over", encodeFrame(0x42, 0xff, 0, PING), [SERVED]],
  [
    "§4.1: so is one on a stream",
    Buffer.concat([OPEN, encodeFrame(0xff, 1, 1, PING), lastMessage(1, "hello")]),
    [ANSWERED, SERVED],
  ],
  [
    "§4.1: the reserved bit of a stream's id says nothing",
    Buffer.concat([OPEN, encodeFrame(0, 1, 2 ** 31 + 1, lastMessage(1, "hello").subarray(9))]),
    [ANSWERED, SERVED],
  ],
  [
    "§4.2: DATA of 16,384 bytes are taken",
    Buffer.concat([
      OPEN,
      padded(
        FRAME.DATA,
        1,
        Buffer.concat([lastMessage(1, "x".repeat(16_378)).subarray(9)]),
        0,
        FLAG.END_STREAM,
      ),
    ]),
    ["1 answered: 16378 bytes", SERVED],
  ],
  [
    "§4.2: DATA of 16,385 bytes",
    Buffer.concat([OPEN, data(1, Buffer.alloc(16_385))]),
    ended("FRAME_SIZE_ERROR", 1),
  ],
  [
    "§4.2: the head alone of a frame of 16,385 bytes",
    Buffer.from([0, 0x40, 1, 0, 0, 0, 0, 0, 1]),
    ended("FRAME_SIZE_ERROR"),
  ],
  [
    "§4.2: HEADERS of 16,385 bytes",
    encodeFrame(FRAME.HEADERS, 4, 1, Buffer.alloc(16_385)),
    ended("FRAME_SIZE_ERROR"),
  ],
  [
    "§4.2: an unknown frame of 16,385 bytes",
    encodeFrame(0x42, 0, 0, Buffer.alloc(16_385)),
    ended("FRAME_SIZE_ERROR"),
  ],
  [
    "§4.2: SETTINGS of 16,386 bytes",
    encodeFrame(FRAME.SETTINGS, 0, 0, Buffer.alloc(16_386)),
    ended("FRAME_SIZE_ERROR"),
  ],

  ["§6.1: DATA on stream 0", data(0, PING), ended("PROTOCOL_ERROR")],
  ["§5.1: DATA on a stream that is idle", data(1, PING), ended("PROTOCOL_ERROR")],
  [
    "§5.1: DATA on a stream of the server's, which opens none",
    Buffer.concat([checkOf(5, "hello"), data(2, PING)]),
    ["5 answered: hello", ...ended("PROTOCOL_ERROR", 5)],
  ],
  [
    "§5.1: DATA on a call that is over",
    Buffer.concat([checkOf(1, "hello"), data(1, PING)]),
    [ANSWERED, "RST_STREAM 1 STREAM_CLOSED", SERVED],
  ],
  [
    "§5.1: DATA behind the end of a call that waits for its answer, which then gets none",
    Buffer.concat([checkOf(1, "later"), data(1, PING)]),
    ["RST_STREAM 1 STREAM_CLOSED", SERVED],
  ],
  [
    "§6.1: padding, of DATA",
    Buffer.concat([OPEN, padded(FRAME.DATA, 1, lastMessage(1, "hello").subarray(9), 255, FLAG.END_STREAM)]),
    [ANSWERED, SERVED],
  ],
  [
    "§6.1: padding alone",
    Buffer.concat([OPEN, padded(FRAME.DATA, 1, NOTHING, 9), lastMessage(1, "hello")]),
    [ANSWERED, SERVED],
  ],
  [
    "§6.1: padding longer than its DATA",
    Buffer.concat([OPEN, padded(FRAME.DATA, 1, NOTHING, 9, 0, 10)]),
    ended("PROTOCOL_ERROR", 1),
  ],
  [
    "§6.1: padded DATA of no byte",
    Buffer.concat([OPEN, data(1, NOTHING, FLAG.PADDED), data(1, NOTHING)]),
    ended("FRAME_SIZE_ERROR", 1),
  ],

  ["§6.3: PRIORITY, of a stream that is idle", encodeFrame(FRAME.PRIORITY, 0, 9, Buffer.alloc(5)), [SERVED]],
  [
    "§6.3: PRIORITY, of a call that is over",
    Buffer.concat([checkOf(1, "hello"), encodeFrame(FRAME.PRIORITY, 0, 1, Buffer.alloc(5))]),
    [ANSWERED, SERVED],
  ],
  ["§6.3: PRIORITY on stream 0", encodeFrame(FRAME.PRIORITY, 0, 0, Buffer.alloc(5)), ended("PROTOCOL_ERROR")],
  [
    "§6.3: PRIORITY of 4 bytes, of a call",
    Buffer.concat([checkOf(1, "later"), encodeFrame(FRAME.PRIORITY, 0, 1, Buffer.alloc(4))]),
    ["RST_STREAM 1 FRAME_SIZE_ERROR", SERVED],
  ],
  [
    "§6.3, §6.4: PRIORITY of 6 bytes, of a stream that is idle and thus cannot be reset",
    encodeFrame(FRAME.PRIORITY, 0, 1, Buffer.alloc(6)),
    ended("FRAME_SIZE_ERROR"),
  ],

  [
    "§6.4: RST_STREAM of a call that waits for its answer, which then gets none",
    Buffer.concat([checkOf(1, "later"), encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(8))]),
    [SERVED],
  ],
  [
    "§6.4: RST_STREAM of a call that is over",
    Buffer.concat([checkOf(1, "hello"), encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(8))]),
    [ANSWERED, SERVED],
  ],
  [
    "§6.4: RST_STREAM with a code that nobody knows",
    Buffer.concat([checkOf(1, "later"), encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(0xffff_ffff))]),
    [SERVED],
  ],
  [
    "§6.4: RST_STREAM on stream 0",
    encodeFrame(FRAME.RST_STREAM, 0, 0, encodeUint32s(8)),
    ended("PROTOCOL_ERROR"),
  ],
  [
    "§6.4: RST_STREAM on a stream that is idle",
    encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(8)),
    ended("PROTOCOL_ERROR"),
  ],
  [
    "§6.4: RST_STREAM on a stream of the server's",
    Buffer.concat([checkOf(5, "hello"), encodeFrame(FRAME.RST_STREAM, 0, 2, encodeUint32s(8))]),
    ["5 answered: hello", ...ended("PROTOCOL_ERROR", 5)],
  ],
  [
    "§6.4: RST_STREAM of 3 bytes",
    Buffer.concat([OPEN, encodeFrame(FRAME.RST_STREAM, 0, 1, Buffer.alloc(3))]),
    ended("FRAME_SIZE_ERROR", 1),
  ],
  [
    "§6.4: RST_STREAM of 5 bytes",
    Buffer.concat([OPEN, encodeFrame(FRAME.RST_STREAM, 0, 1, Buffer.alloc(5))]),
    ended("FRAME_SIZE_ERROR", 1),
  ],

  [
    "§6.5: an acknowledgement that nobody asked for",
    encodeFrame(FRAME.SETTINGS, FLAG.ACK, 0, NOTHING),
    [SERVED],
  ],
  [
    "§6.5: an acknowledgement with a payload",
    encodeFrame(FRAME.SETTINGS, FLAG.ACK, 0, Buffer.alloc(6)),
    ended("FRAME_SIZE_ERROR"),
  ],
  [
    "§6.5: SETTINGS of 5 bytes",
    encodeFrame(FRAME.SETTINGS, 0, 0, Buffer.alloc(5)),
    ended("FRAME_SIZE_ERROR"),
  ],
  [
    "§6.5: SETTINGS on a stream",
    Buffer.concat([OPEN, encodeFrame(FRAME.SETTINGS, 0, 1, NOTHING)]),
    ended("PROTOCOL_ERROR", 1),
  ],
  ["§6.5: a setting that nobody knows", settings([0xfafa, 0xffff_ffff], [0, 1]), [SERVED]],
  ["§6.5.2: ENABLE_PUSH 0 and 1", settings([SETTING.ENABLE_PUSH, 0], [SETTING.ENABLE_PUSH, 1]), [SERVED]],
  ["§6.5.2: ENABLE_PUSH 2", settings([SETTING.ENABLE_PUSH, 2]), ended("PROTOCOL_ERROR")],
  ["§6.5.2: INITIAL_WINDOW_SIZE 2^31-1", settings([SETTING.INITIAL_WINDOW_SIZE, 2 ** 31 - 1]), [SERVED]],
  [
    "§6.5.2: INITIAL_WINDOW_SIZE 2^31",
    settings([SETTING.INITIAL_WINDOW_SIZE, 2 ** 31]),
    ended("FLOW_CONTROL_ERROR"),
  ],
  [
    "§6.5.2: MAX_FRAME_SIZE 16,384 and 2^24-1",
    settings([SETTING.MAX_FRAME_SIZE, 16_384], [SETTING.MAX_FRAME_SIZE, 2 ** 24 - 1]),
    [SERVED],
  ],
  ["§6.5.2: MAX_FRAME_SIZE 16,383", settings([SETTING.MAX_FRAME_SIZE, 16_383]), ended("PROTOCOL_ERROR")],
  ["§6.5.2: MAX_FRAME_SIZE 2^24", settings([SETTING.MAX_FRAME_SIZE, 2 ** 24]), ended("PROTOCOL_ERROR")],
  [
    "§6.5.2: MAX_CONCURRENT_STREAMS 0, which only holds for pushes",
    settings([SETTING.MAX_CONCURRENT_STREAMS, 0]),
    [SERVED],
  ],
  ["§6.5.2: MAX_HEADER_LIST_SIZE 0, which is advice", settings([SETTING.MAX_HEADER_LIST_SIZE, 0]), [SERVED]],

  [
    "§6.6: PUSH_PROMISE",
    Buffer.concat([OPEN, encodeFrame(FRAME.PUSH_PROMISE, 4, 1, encodeUint32s(2))]),
    ended("PROTOCOL_ERROR", 1),
  ],

  [
    "§6.7: PING comes back",
    encodeFrame(FRAME.PING, 0, 0, PING),
    [`PING ACK ${PING.toString("hex")}`, SERVED],
  ],
  ["§6.7: the acknowledgement of a PING does not", encodeFrame(FRAME.PING, FLAG.ACK, 0, PING), [SERVED]],
  ["§6.7: PING of 7 bytes", encodeFrame(FRAME.PING, 0, 0, Buffer.alloc(7)), ended("FRAME_SIZE_ERROR")],
  ["§6.7: PING of 9 bytes", encodeFrame(FRAME.PING, 0, 0, Buffer.alloc(9)), ended("FRAME_SIZE_ERROR")],
  [
    "§6.7: PING on a stream",
    Buffer.concat([OPEN, encodeFrame(FRAME.PING, 0, 1, PING)]),
    ended("PROTOCOL_ERROR", 1),
  ],

  [
    "§6.8: a caller's GOAWAY, whose open calls are answered",
    Buffer.concat([OPEN, encodeFrame(FRAME.GOAWAY, 0, 0, encodeUint32s(0, 0)), lastMessage(1, "hello")]),
    [ANSWERED, SERVED],
  ],
  [
    "§6.8: GOAWAY on a stream",
    Buffer.concat([OPEN, encodeFrame(FRAME.GOAWAY, 0, 1, encodeUint32s(0, 0))]),
    ended("PROTOCOL_ERROR", 1),
  ],
  ["§6.8: GOAWAY of 7 bytes", encodeFrame(FRAME.GOAWAY, 0, 0, Buffer.alloc(7)), ended("FRAME_SIZE_ERROR")],

  [
    "§6.9: WINDOW_UPDATE by 0, of the connection",
    encodeFrame(FRAME.WINDOW_UPDATE, 0, 0, encodeUint32s(0)),
    ended("PROTOCOL_ERROR"),
  ],
  [
    "§6.9: WINDOW_UPDATE by 0, of a call",
    Buffer.concat([OPEN, encodeFrame(FRAME.WINDOW_UPDATE, 0, 1, encodeUint32s(0))]),
    ["RST_STREAM 1 PROTOCOL_ERROR", SERVED],
  ],
  [
    "§6.9: WINDOW_UPDATE of 3 bytes",
    encodeFrame(FRAME.WINDOW_UPDATE, 0, 0, Buffer.alloc(3)),
    ended("FRAME_SIZE_ERROR"),
  ],
  [
    "§6.9: WINDOW_UPDATE of 5 bytes, of a call",
    Buffer.concat([OPEN, encodeFrame(FRAME.WINDOW_UPDATE, 0, 1, Buffer.alloc(5))]),
    ended("FRAME_SIZE_ERROR", 1),
  ],
  [
    "§5.1: WINDOW_UPDATE on a stream that is idle",
    encodeFrame(FRAME.WINDOW_UPDATE, 0, 1, encodeUint32s(1)),
    ended("PROTOCOL_ERROR"),
  ],
  [
    "§5.1: WINDOW_UPDATE on a stream of the server's",
    Buffer.concat([checkOf(5, "hello"), encodeFrame(FRAME.WINDOW_UPDATE, 0, 2, encodeUint32s(1))]),
    ["5 answered: hello", ...ended("PROTOCOL_ERROR", 5)],
  ],
  [
    "§5.1: WINDOW_UPDATE on a call that is over",
    Buffer.concat([checkOf(1, "hello"), encodeFrame(FRAME.WINDOW_UPDATE, 0, 1, encodeUint32s(1))]),
    [ANSWERED, SERVED],
  ],
  [
    "§6.9.1: a window of 2^31-1, of the connection",
    encodeFrame(FRAME.WINDOW_UPDATE, 0, 0, encodeUint32s(2 ** 31 - 1 - 65_535)),
    [SERVED],
  ],
  [
    "§6.9.1: a window of 2^31, of the connection",
    encodeFrame(FRAME.WINDOW_UPDATE, 0, 0, encodeUint32s(2 ** 31 - 65_535)),
    ended("FLOW_CONTROL_ERROR"),
  ],
  [
    "§6.9.1: a window of 2^31-1, of a call",
    Buffer.concat([
      OPEN,
      encodeFrame(FRAME.WINDOW_UPDATE, 0, 1, encodeUint32s(2 ** 31 - 1 - 65_535)),
      lastMessage(1, "hello"),
    ]),
    [ANSWERED, SERVED],
  ],
  [
    "§6.9.1: a window of 2^31, of a call",
    Buffer.concat([OPEN, encodeFrame(FRAME.WINDOW_UPDATE, 0, 1, encodeUint32s(2 ** 31 - 65_535))]),
    ["RST_STREAM 1 FLOW_CONTROL_ERROR", SERVED],
  ],
  [
    "§6.9.2: SETTINGS that make a call's window 2^31",
    Buffer.concat([
      OPEN,
      encodeFrame(FRAME.WINDOW_UPDATE, 0, 1, encodeUint32s(1)),
      settings([SETTING.INITIAL_WINDOW_SIZE, 2 ** 31 - 1]),
    ]),
    ended("FLOW_CONTROL_ERROR", 1),
  ],
];

test.each(CASES)("%s", async (_what, bytes, outcome) => {
  expect(await outcomeOf(door.address(), bytes)).toEqual(outcome);
});

test("§6.5.3: each SETTINGS is acknowledged once, and no acknowledgement is", async () => {
  const connection = await connectFrames(door.address());
  await connection.send(OPENING, SETTINGS, encodeFrame(FRAME.SETTINGS, FLAG.ACK, 0, NOTHING), SETTINGS, LAST);
  await connection.until(SERVED);
  expect(connection.lines.filter((line) => line === "SETTINGS ACK")).toHaveLength(3);
  connection.socket.destroy();
});
