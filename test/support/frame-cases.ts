import { encodeFrame, encodeUint32s, FLAG, FRAME, PREFACE, SETTING } from "../../src/http2/frames.ts";
import {
  checkOf,
  data,
  ended,
  headers,
  lastMessage,
  OPENING,
  padded,
  SERVED,
  settings,
} from "./http2-frames.ts";

/** Bytes after a valid preface, and the lines that an echo server sends then. */
export type FrameCase = readonly [what: string, bytes: Buffer, outcome: readonly string[]];

const NO_BYTES = Buffer.alloc(0);
const OPEN = headers(1);
const ANSWERED = "1 answered: hello";
const LAST = checkOf(20_001, "later last");
const PING = Buffer.from("pingpong");

/** The first bytes of a connection. */
export const PREFACE_CASES: readonly FrameCase[] = [
  ["another preface", Buffer.from("PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n"), ended("PROTOCOL_ERROR")],
  ["an HTTP/1 request", Buffer.from("GET / HTTP/1.1\r\nhost: latchkey\r\n\r\n"), ended("PROTOCOL_ERROR")],
  [
    "a preface with a wrong last byte",
    Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r"),
    ended("PROTOCOL_ERROR"),
  ],
  [
    "no SETTINGS before a PING",
    Buffer.concat([PREFACE, encodeFrame(6, 0, 0, PING)]),
    ended("PROTOCOL_ERROR"),
  ],
  ["no SETTINGS before a request", Buffer.concat([PREFACE, checkOf(1, "hello")]), ended("PROTOCOL_ERROR")],
  [
    "no SETTINGS before an unknown frame",
    Buffer.concat([PREFACE, encodeFrame(99, 0, 0, PING)]),
    ended("PROTOCOL_ERROR"),
  ],
  [
    "an acknowledgement instead of SETTINGS",
    Buffer.concat([PREFACE, encodeFrame(4, 1, 0, NO_BYTES), LAST]),
    ended("PROTOCOL_ERROR"),
  ],
  ["a valid preface", Buffer.concat([OPENING, LAST]), [SERVED]],
];

/** GOAWAY has the last processed stream id: 1 in a case that opens a stream. */
export const FRAME_CASES: readonly FrameCase[] = [
  ["§4.1: a frame of an unknown type is ignored", encodeFrame(0x42, 0xff, 0, PING), [SERVED]],
  [
    "§4.1: a frame of an unknown type on a stream is ignored",
    Buffer.concat([OPEN, encodeFrame(0xff, 1, 1, PING), lastMessage(1, "hello")]),
    [ANSWERED, SERVED],
  ],
  [
    "§4.1: the reserved bit of a stream id is ignored",
    Buffer.concat([OPEN, encodeFrame(0, 1, 2 ** 31 + 1, lastMessage(1, "hello").subarray(9))]),
    [ANSWERED, SERVED],
  ],
  [
    "§4.2: DATA of 16,384 bytes is accepted",
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
    "§4.2: only the head of a frame of 16,385 bytes",
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
  ["§5.1: DATA on an idle stream", data(1, PING), ended("PROTOCOL_ERROR")],
  [
    "§5.1: DATA on a stream id of the server, which opens no streams",
    Buffer.concat([checkOf(5, "hello"), data(2, PING)]),
    ["5 answered: hello", ...ended("PROTOCOL_ERROR", 5)],
  ],
  [
    "§5.1: DATA on a closed stream",
    Buffer.concat([checkOf(1, "hello"), data(1, PING)]),
    [ANSWERED, "RST_STREAM 1 STREAM_CLOSED", SERVED],
  ],
  [
    "§5.1: DATA on a half-closed (remote) stream, which gets no response then",
    Buffer.concat([checkOf(1, "later"), data(1, PING)]),
    ["RST_STREAM 1 STREAM_CLOSED", SERVED],
  ],
  [
    "§6.1: padded DATA",
    Buffer.concat([OPEN, padded(FRAME.DATA, 1, lastMessage(1, "hello").subarray(9), 255, FLAG.END_STREAM)]),
    [ANSWERED, SERVED],
  ],
  [
    "§6.1: DATA with padding only",
    Buffer.concat([OPEN, padded(FRAME.DATA, 1, NO_BYTES, 9), lastMessage(1, "hello")]),
    [ANSWERED, SERVED],
  ],
  [
    "§6.1: padding longer than its DATA",
    Buffer.concat([OPEN, padded(FRAME.DATA, 1, NO_BYTES, 9, 0, 10)]),
    ended("PROTOCOL_ERROR", 1),
  ],
  [
    "§6.1: padded DATA without a byte",
    Buffer.concat([OPEN, data(1, NO_BYTES, FLAG.PADDED), data(1, NO_BYTES)]),
    ended("FRAME_SIZE_ERROR", 1),
  ],

  ["§6.3: PRIORITY on an idle stream", encodeFrame(FRAME.PRIORITY, 0, 9, Buffer.alloc(5)), [SERVED]],
  [
    "§6.3: PRIORITY on a closed stream",
    Buffer.concat([checkOf(1, "hello"), encodeFrame(FRAME.PRIORITY, 0, 1, Buffer.alloc(5))]),
    [ANSWERED, SERVED],
  ],
  ["§6.3: PRIORITY on stream 0", encodeFrame(FRAME.PRIORITY, 0, 0, Buffer.alloc(5)), ended("PROTOCOL_ERROR")],
  [
    "§6.3: PRIORITY of 4 bytes on an open stream",
    Buffer.concat([checkOf(1, "later"), encodeFrame(FRAME.PRIORITY, 0, 1, Buffer.alloc(4))]),
    ["RST_STREAM 1 FRAME_SIZE_ERROR", SERVED],
  ],
  [
    "§6.3, §6.4: PRIORITY of 6 bytes on an idle stream, which cannot be reset",
    encodeFrame(FRAME.PRIORITY, 0, 1, Buffer.alloc(6)),
    ended("FRAME_SIZE_ERROR"),
  ],

  [
    "§6.4: RST_STREAM on a half-closed (remote) stream, which gets no response then",
    Buffer.concat([checkOf(1, "later"), encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(8))]),
    [SERVED],
  ],
  [
    "§6.4: RST_STREAM on a closed stream",
    Buffer.concat([checkOf(1, "hello"), encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(8))]),
    [ANSWERED, SERVED],
  ],
  [
    "§6.4: RST_STREAM with an unknown code",
    Buffer.concat([checkOf(1, "later"), encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(0xffff_ffff))]),
    [SERVED],
  ],
  [
    "§6.4: RST_STREAM on stream 0",
    encodeFrame(FRAME.RST_STREAM, 0, 0, encodeUint32s(8)),
    ended("PROTOCOL_ERROR"),
  ],
  [
    "§6.4: RST_STREAM on an idle stream",
    encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(8)),
    ended("PROTOCOL_ERROR"),
  ],
  [
    "§6.4: RST_STREAM on a stream id of the server",
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

  ["§6.5: an unexpected acknowledgement", encodeFrame(FRAME.SETTINGS, FLAG.ACK, 0, NO_BYTES), [SERVED]],
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
    Buffer.concat([OPEN, encodeFrame(FRAME.SETTINGS, 0, 1, NO_BYTES)]),
    ended("PROTOCOL_ERROR", 1),
  ],
  ["§6.5: an unknown setting", settings([0xfafa, 0xffff_ffff], [0, 1]), [SERVED]],
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
    "§6.5.2: MAX_CONCURRENT_STREAMS 0, which applies to pushes only",
    settings([SETTING.MAX_CONCURRENT_STREAMS, 0]),
    [SERVED],
  ],
  [
    "§6.5.2: MAX_HEADER_LIST_SIZE 0, which is advisory",
    settings([SETTING.MAX_HEADER_LIST_SIZE, 0]),
    [SERVED],
  ],

  [
    "§6.6: PUSH_PROMISE",
    Buffer.concat([OPEN, encodeFrame(FRAME.PUSH_PROMISE, 4, 1, encodeUint32s(2))]),
    ended("PROTOCOL_ERROR", 1),
  ],

  [
    "§6.7: PING is acknowledged",
    encodeFrame(FRAME.PING, 0, 0, PING),
    [`PING ACK ${PING.toString("hex")}`, SERVED],
  ],
  [
    "§6.7: the acknowledgement of a PING is not acknowledged",
    encodeFrame(FRAME.PING, FLAG.ACK, 0, PING),
    [SERVED],
  ],
  ["§6.7: PING of 7 bytes", encodeFrame(FRAME.PING, 0, 0, Buffer.alloc(7)), ended("FRAME_SIZE_ERROR")],
  ["§6.7: PING of 9 bytes", encodeFrame(FRAME.PING, 0, 0, Buffer.alloc(9)), ended("FRAME_SIZE_ERROR")],
  [
    "§6.7: PING on a stream",
    Buffer.concat([OPEN, encodeFrame(FRAME.PING, 0, 1, PING)]),
    ended("PROTOCOL_ERROR", 1),
  ],

  [
    "§6.8: GOAWAY of the client, whose open streams are served",
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
    "§6.9: WINDOW_UPDATE by 0 for the connection",
    encodeFrame(FRAME.WINDOW_UPDATE, 0, 0, encodeUint32s(0)),
    ended("PROTOCOL_ERROR"),
  ],
  [
    "§6.9: WINDOW_UPDATE by 0 for a stream",
    Buffer.concat([OPEN, encodeFrame(FRAME.WINDOW_UPDATE, 0, 1, encodeUint32s(0))]),
    ["RST_STREAM 1 PROTOCOL_ERROR", SERVED],
  ],
  [
    "§6.9: WINDOW_UPDATE of 3 bytes",
    encodeFrame(FRAME.WINDOW_UPDATE, 0, 0, Buffer.alloc(3)),
    ended("FRAME_SIZE_ERROR"),
  ],
  [
    "§6.9: WINDOW_UPDATE of 5 bytes for a stream",
    Buffer.concat([OPEN, encodeFrame(FRAME.WINDOW_UPDATE, 0, 1, Buffer.alloc(5))]),
    ended("FRAME_SIZE_ERROR", 1),
  ],
  [
    "§5.1: WINDOW_UPDATE on an idle stream",
    encodeFrame(FRAME.WINDOW_UPDATE, 0, 1, encodeUint32s(1)),
    ended("PROTOCOL_ERROR"),
  ],
  [
    "§5.1: WINDOW_UPDATE on a stream id of the server",
    Buffer.concat([checkOf(5, "hello"), encodeFrame(FRAME.WINDOW_UPDATE, 0, 2, encodeUint32s(1))]),
    ["5 answered: hello", ...ended("PROTOCOL_ERROR", 5)],
  ],
  [
    "§5.1: WINDOW_UPDATE on a closed stream",
    Buffer.concat([checkOf(1, "hello"), encodeFrame(FRAME.WINDOW_UPDATE, 0, 1, encodeUint32s(1))]),
    [ANSWERED, SERVED],
  ],
  [
    "§6.9.1: a connection window of 2^31-1",
    encodeFrame(FRAME.WINDOW_UPDATE, 0, 0, encodeUint32s(2 ** 31 - 1 - 65_535)),
    [SERVED],
  ],
  [
    "§6.9.1: a connection window of 2^31",
    encodeFrame(FRAME.WINDOW_UPDATE, 0, 0, encodeUint32s(2 ** 31 - 65_535)),
    ended("FLOW_CONTROL_ERROR"),
  ],
  [
    "§6.9.1: a stream window of 2^31-1",
    Buffer.concat([
      OPEN,
      encodeFrame(FRAME.WINDOW_UPDATE, 0, 1, encodeUint32s(2 ** 31 - 1 - 65_535)),
      lastMessage(1, "hello"),
    ]),
    [ANSWERED, SERVED],
  ],
  [
    "§6.9.1: a stream window of 2^31",
    Buffer.concat([OPEN, encodeFrame(FRAME.WINDOW_UPDATE, 0, 1, encodeUint32s(2 ** 31 - 65_535))]),
    ["RST_STREAM 1 FLOW_CONTROL_ERROR", SERVED],
  ],
  [
    "§6.9.2: SETTINGS that increase a stream window to 2^31",
    Buffer.concat([
      OPEN,
      encodeFrame(FRAME.WINDOW_UPDATE, 0, 1, encodeUint32s(1)),
      settings([SETTING.INITIAL_WINDOW_SIZE, 2 ** 31 - 1]),
    ]),
    ended("FLOW_CONTROL_ERROR", 1),
  ],
];
