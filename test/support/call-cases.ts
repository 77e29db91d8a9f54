import { encodeFrame, encodeUint32s, FLAG, FRAME } from "../../src/http2/frames.ts";
import { encodeHeaderBlock } from "../../src/http2/header-encoder.ts";
import { literal } from "./hpack.ts";
import {
  checkOf,
  data,
  ended,
  HEAD,
  headers,
  headOf,
  inPieces,
  lastMessage,
  padded,
  SERVED,
} from "./http2-frames.ts";

/** Frames after a valid preface, and the lines that an echo server sends then. */
export type CallCase = readonly [what: string, bytes: readonly Buffer[], outcome: readonly string[]];

const NO_BYTES = Buffer.alloc(0);
const ANSWERED = "1 answered: hello";
const LATER = checkOf(1, "later");
const HELLO = lastMessage(1, "hello");
const BLOCK = encodeHeaderBlock(HEAD);
const CUTS = Array.from({ length: 15 }, (_, index) => index + 1);
const PING = encodeFrame(FRAME.PING, 0, 0, Buffer.alloc(8));
const TRAILERS = FLAG.END_HEADERS | FLAG.END_STREAM;
const OVER = FLAG.END_STREAM;

function continuation(streamId: number, block: Uint8Array, flags: number = FLAG.END_HEADERS): Buffer {
  return encodeFrame(FRAME.CONTINUATION, flags, streamId, block);
}

export const CALL_CASES: readonly CallCase[] = [
  [
    "§6.2: HEADERS with END_STREAM, so that the Check has no message",
    [headers(1, HEAD, TRAILERS)],
    ["1 answered: denied", SERVED],
  ],
  [
    "§6.2: padded HEADERS",
    [padded(FRAME.HEADERS, 1, BLOCK, 255, FLAG.END_HEADERS), HELLO],
    [ANSWERED, SERVED],
  ],
  [
    "§6.2: padding longer than its HEADERS",
    [padded(FRAME.HEADERS, 1, NO_BYTES, 9, FLAG.END_HEADERS, 10)],
    ended("PROTOCOL_ERROR"),
  ],
  [
    "§6.2: padded HEADERS without a byte",
    [encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.PADDED, 1, NO_BYTES), PING],
    ended("FRAME_SIZE_ERROR"),
  ],
  ["§6.2: HEADERS with a priority", [headersWith(FLAG.PRIORITY, Buffer.alloc(5)), HELLO], [ANSWERED, SERVED]],
  [
    "§5.3: HEADERS that depend on their own stream, which is ignored",
    [headersWith(FLAG.PRIORITY, Buffer.from([0, 0, 0, 1, 9])), HELLO],
    [ANSWERED, SERVED],
  ],
  [
    "§6.2: HEADERS with padding and a priority",
    [headersWith(FLAG.PRIORITY | FLAG.PADDED, Buffer.from([3, 0, 0, 0, 0, 9]), Buffer.alloc(3)), HELLO],
    [ANSWERED, SERVED],
  ],
  [
    "§6.2: HEADERS too short for their priority",
    [encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.PRIORITY, 1, Buffer.alloc(4))],
    ended("FRAME_SIZE_ERROR"),
  ],
  [
    "§6.2: padding that overlaps the priority",
    [
      encodeFrame(
        FRAME.HEADERS,
        FLAG.END_HEADERS | FLAG.PRIORITY | FLAG.PADDED,
        1,
        Buffer.from([1, 0, 0, 0, 0, 9]),
      ),
    ],
    ended("PROTOCOL_ERROR"),
  ],
  ["§6.2: HEADERS on stream 0", [headers(0)], ended("PROTOCOL_ERROR")],
  ["§5.1.1: HEADERS with an even stream id", [headers(2)], ended("PROTOCOL_ERROR")],
  [
    "§5.1.1: HEADERS with a stream id that was skipped",
    [checkOf(5, "hello"), headers(3)],
    ["5 answered: hello", ...ended("PROTOCOL_ERROR", 5)],
  ],
  [
    "§5.1.1: HEADERS with the stream id of a closed stream",
    [checkOf(1, "hello"), checkOf(1, "hello")],
    [ANSWERED, ...ended("PROTOCOL_ERROR", 1)],
  ],
  [
    "§5.1.1: a client may skip stream ids",
    [checkOf(7, "seven"), checkOf(101, "more")],
    ["7 answered: seven", "101 answered: more", SERVED],
  ],

  ["§6.10: a head in 16 frames", [inPieces(1, BLOCK, CUTS), HELLO], [ANSWERED, SERVED]],
  ["§6.10: a head in 17 frames", [inPieces(1, BLOCK, [...CUTS, 16]), HELLO], ended("ENHANCE_YOUR_CALM")],
  [
    "§6.10: a head in frames, some of them empty",
    [inPieces(1, BLOCK, [0, 9, 9, BLOCK.length]), HELLO],
    [ANSWERED, SERVED],
  ],
  [
    "§6.10: padding and priority, whose flags CONTINUATION ignores",
    [
      padded(FRAME.HEADERS, 1, Buffer.concat([Buffer.alloc(5), BLOCK.subarray(0, 9)]), 7, FLAG.PRIORITY),
      continuation(1, BLOCK.subarray(9), 0xff),
      HELLO,
    ],
    [ANSWERED, SERVED],
  ],
  [
    "§6.10: END_STREAM on HEADERS with CONTINUATION",
    [inPieces(1, BLOCK, [5], FLAG.END_STREAM)],
    ["1 answered: denied", SERVED],
  ],
  [
    "§6.10: END_STREAM on CONTINUATION is ignored",
    [inPieces(1, BLOCK, [5]).subarray(0, 14), continuation(1, BLOCK.subarray(5), TRAILERS), HELLO],
    [ANSWERED, SERVED],
  ],
  [
    "§6.10: a block of 32 KiB, whose head is too large",
    [inPieces(1, manyBytes(32 * 1024), [16_384])],
    ["RST_STREAM 1 ENHANCE_YOUR_CALM", SERVED],
  ],
  [
    "§6.10: a block of 4 MiB with one large value: the Check is denied, and the connection continues",
    [inBlocks(1, Buffer.concat([BLOCK, literal(0x40, ["tracestate", "v".repeat(4_000_000)])])), HELLO],
    ["1 answered: denied", SERVED],
  ],
  [
    "§6.10: a name of 16 KiB and one byte, which no client of Envoy can choose",
    [inBlocks(1, Buffer.concat([BLOCK, literal(0, ["n".repeat(16_385), "v"])]))],
    ended("COMPRESSION_ERROR"),
  ],
  [
    "§6.10: many small CONTINUATION frames",
    [
      encodeFrame(FRAME.HEADERS, 0, 1, NO_BYTES),
      ...Array.from({ length: 20 }, () => continuation(1, Buffer.alloc(1000, 0x82), 0)),
      continuation(1, NO_BYTES, 0),
    ],
    ended("ENHANCE_YOUR_CALM"),
  ],
  [
    "§6.10: too many CONTINUATION frames",
    [
      encodeFrame(FRAME.HEADERS, 0, 1, NO_BYTES),
      ...Array.from({ length: 16 }, () => continuation(1, NO_BYTES, 0)),
    ],
    ended("ENHANCE_YOUR_CALM"),
  ],
  ["§6.10: CONTINUATION without HEADERS", [continuation(1, BLOCK)], ended("PROTOCOL_ERROR")],
  [
    "§6.10: CONTINUATION after END_HEADERS",
    [headers(1), continuation(1, NO_BYTES)],
    ended("PROTOCOL_ERROR", 1),
  ],
  [
    "§6.10: CONTINUATION after DATA",
    [headers(1), data(1, NO_BYTES), continuation(1, NO_BYTES)],
    ended("PROTOCOL_ERROR", 1),
  ],
  ["§6.10: CONTINUATION on stream 0", [continuation(0, BLOCK)], ended("PROTOCOL_ERROR")],
  [
    "§6.10: CONTINUATION of another stream",
    [encodeFrame(FRAME.HEADERS, 0, 1, BLOCK), continuation(3, NO_BYTES)],
    ended("PROTOCOL_ERROR"),
  ],
  ...[
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
  ].map(
    (name, type): CallCase => [
      `§6.2: ${name} within a head`,
      [
        encodeFrame(FRAME.HEADERS, 0, 1, BLOCK),
        encodeFrame(type, 0, type === 4 || type === 6 || type === 7 ? 0 : 1, Buffer.alloc(8)),
      ],
      ended("PROTOCOL_ERROR"),
    ],
  ),
  [
    "§6.2: an unknown frame within a head",
    [encodeFrame(FRAME.HEADERS, 0, 1, BLOCK), encodeFrame(0x42, 0, 1, NO_BYTES)],
    ended("PROTOCOL_ERROR"),
  ],
  [
    "§6.2: a frame within trailers",
    [headers(1), encodeFrame(FRAME.HEADERS, OVER, 1, NO_BYTES), PING],
    ended("PROTOCOL_ERROR", 1),
  ],

  [
    "§8.1: trailers",
    [headers(1), data(1, HELLO.subarray(9)), headers(1, [["x-end", "1"]], TRAILERS)],
    [ANSWERED, SERVED],
  ],
  [
    "§8.1: trailers in several frames",
    [headers(1), data(1, HELLO.subarray(9)), inPieces(1, encodeHeaderBlock([["x-end", "1"]]), [2], OVER)],
    [ANSWERED, SERVED],
  ],
  [
    "§8.1: trailers without a field",
    [headers(1), data(1, HELLO.subarray(9)), headers(1, [], TRAILERS)],
    [ANSWERED, SERVED],
  ],
  [
    "§8.1: trailers without END_STREAM",
    [headers(1), headers(1, [["x-end", "1"]]), HELLO],
    ["RST_STREAM 1 PROTOCOL_ERROR", SERVED],
  ],
  [
    "§8.1: trailers with a pseudo-header field",
    [headers(1), headers(1, [[":path", "/"]], TRAILERS)],
    ["RST_STREAM 1 PROTOCOL_ERROR", SERVED],
  ],
  [
    "§8.1: malformed trailers",
    [headers(1), headers(1, [["X-End", "1"]], TRAILERS)],
    ["RST_STREAM 1 PROTOCOL_ERROR", SERVED],
  ],
  [
    "§10.5.1: trailers that are too large",
    [headers(1), inBlocks(1, literal(0, ["x-large", "v".repeat(300_000)]), OVER)],
    ["RST_STREAM 1 ENHANCE_YOUR_CALM", SERVED],
  ],
  [
    "§5.1: trailers after the client has reset the stream",
    [headers(1), encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(8)), headers(1, [], TRAILERS)],
    ["RST_STREAM 1 STREAM_CLOSED", SERVED],
  ],
  [
    "§5.1: trailers on a half-closed (remote) stream, which gets no response then",
    [LATER, headers(1, [], TRAILERS)],
    ["RST_STREAM 1 STREAM_CLOSED", SERVED],
  ],
  [
    "§5.1: a second head on a half-closed (remote) stream",
    [LATER, headers(1)],
    ["RST_STREAM 1 STREAM_CLOSED", SERVED],
  ],

  [
    "§6.5.2: a head that counts 256 KiB, in a thousand fields",
    [inBlocks(1, encodeHeaderBlock(headOf(1000, 262_144))), HELLO],
    [ANSWERED, SERVED],
  ],
  [
    "§10.5.1: a Check whose head counts one byte more",
    [inBlocks(1, encodeHeaderBlock(headOf(1000, 262_145))), HELLO],
    ["1 answered: denied", SERVED],
  ],
];

/** HEADERS on stream 1 with the bytes that the flags require before and after the block. */
function headersWith(flags: number, before: Buffer, after: Buffer = NO_BYTES): Buffer {
  return encodeFrame(FRAME.HEADERS, flags | FLAG.END_HEADERS, 1, Buffer.concat([before, BLOCK, after]));
}

/** A header block in frames of the maximum size. */
export function inBlocks(streamId: number, block: Buffer, flags = 0): Buffer {
  const cuts = Array.from(
    { length: Math.ceil(block.length / 16_384) - 1 },
    (_, index) => 16_384 * (index + 1),
  );
  return inPieces(streamId, block, cuts, flags);
}

/** A block in which each byte is ":method: GET". */
function manyBytes(count: number): Buffer {
  return Buffer.alloc(count, 0x82);
}

/** Header blocks that end a connection with COMPRESSION_ERROR (RFC 7541). */
export const INVALID_BLOCKS: readonly (readonly [what: string, block: Buffer])[] = [
  ["§6.1: index 0", Buffer.of(0x80)],
  ["§2.3.3: an index beyond the table", Buffer.of(0x80 | 62)],
  ["§2.3.3: a name index beyond the table", Buffer.of(0x40 | 62, 0)],
  ["§5.1: an unterminated integer", Buffer.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)],
  ["§5.2: a string longer than its block", Buffer.of(0, 5, 0x61)],
  ["§5.2: Huffman padding of more than 7 bits", Buffer.of(0, 0x81, 0xff, 0)],
  ["§5.2: Huffman padding of zeros", Buffer.of(0, 0x81, 0x18, 0)],
  ["§5.2: EOS within a Huffman string", Buffer.of(0, 0x84, 0xff, 0xff, 0xff, 0xff, 0)],
  ["§6.3: a table larger than allowed", Buffer.of(0x3f, 0xe2, 0x1f)],
  ["§4.2: a table size update after a field", Buffer.of(0x83, 0x20)],
  ["a truncated field", BLOCK.subarray(0, -1)],
];
