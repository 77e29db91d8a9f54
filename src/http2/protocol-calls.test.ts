import { expect, test } from "vitest";
import { echoDoor } from "../../test/support/echo-door.ts";
import { CHECK_PATH } from "../../test/support/grpc-client.ts";
import { literal } from "../../test/support/hpack.ts";
import {
  checkOf,
  connectFrames,
  data,
  ended,
  HEAD,
  headers,
  headOf,
  inPieces,
  lastMessage,
  OPENING,
  outcomeOf,
  padded,
  SERVED,
} from "../../test/support/http2-frames.ts";
import { encodeFrame, encodeUint32s, FLAG, FRAME } from "./frames.ts";
import { headerBlock } from "./header-encoder.ts";

const door = echoDoor();

const NOTHING = Buffer.alloc(0);
const ANSWERED = "1 answered: hello";
const LATER = checkOf(1, "later");
const HELLO = lastMessage(1, "hello");
const BLOCK = headerBlock(HEAD);
const CUTS = Array.from({ length: 15 }, (_, index) => index + 1);
const PING = encodeFrame(FRAME.PING, 0, 0, Buffer.alloc(8));
const TRAILERS = FLAG.END_HEADERS | FLAG.END_STREAM;
const OVER = FLAG.END_STREAM;

function continuation(streamId: number, block: Uint8Array, flags: number = FLAG.END_HEADERS): Buffer {
  return encodeFrame(FRAME.CONTINUATION, flags, streamId, block);
}

type Case = readonly [what: string, bytes: readonly Buffer[], outcome: readonly string[]];

const CASES: readonly Case[] = [
  [
    "§6.2: HEADERS that end a call without a message",
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
    [padded(FRAME.HEADERS, 1, NOTHING, 9, FLAG.END_HEADERS, 10)],
    ended("PROTOCOL_ERROR"),
  ],
  [
    "§6.2: padded HEADERS of no byte",
    [encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.PADDED, 1, NOTHING), PING],
    ended("FRAME_SIZE_ERROR"),
  ],
  ["§6.2: HEADERS with a priority", [headersWith(FLAG.PRIORITY, Buffer.alloc(5)), HELLO], [ANSWERED, SERVED]],
  [
    "§5.3: HEADERS whose priority is their own stream, which nobody heeds",
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
    "§6.2: padding that leaves a priority no room",
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
  ["§5.1.1: HEADERS on a stream with an even number", [headers(2)], ended("PROTOCOL_ERROR")],
  [
    "§5.1.1: a number that was passed over",
    [checkOf(5, "hello"), headers(3)],
    ["5 answered: hello", ...ended("PROTOCOL_ERROR", 5)],
  ],
  [
    "§5.1.1: the number of a call that is over",
    [checkOf(1, "hello"), checkOf(1, "hello")],
    [ANSWERED, ...ended("PROTOCOL_ERROR", 1)],
  ],
  [
    "§5.1.1: numbers may be passed over",
    [checkOf(7, "seven"), checkOf(101, "more")],
    ["7 answered: seven", "101 answered: more", SERVED],
  ],

  ["§6.10: a head in 16 frames", [inPieces(1, BLOCK, CUTS), HELLO], [ANSWERED, SERVED]],
  ["§6.10: a head in 17 frames", [inPieces(1, BLOCK, [...CUTS, 16]), HELLO], ended("ENHANCE_YOUR_CALM")],
  [
    "§6.10: a head in frames of which some are empty",
    [inPieces(1, BLOCK, [0, 9, 9, BLOCK.length]), HELLO],
    [ANSWERED, SERVED],
  ],
  [
    "§6.10: padding and priority, of which CONTINUATION knows nothing",
    [
      padded(FRAME.HEADERS, 1, Buffer.concat([Buffer.alloc(5), BLOCK.subarray(0, 9)]), 7, FLAG.PRIORITY),
      continuation(1, BLOCK.subarray(9), 0xff),
      HELLO,
    ],
    [ANSWERED, SERVED],
  ],
  [
    "§6.10: END_STREAM on HEADERS that go on",
    [inPieces(1, BLOCK, [5], FLAG.END_STREAM)],
    ["1 answered: denied", SERVED],
  ],
  [
    "§6.10: END_STREAM on CONTINUATION says nothing",
    [inPieces(1, BLOCK, [5]).subarray(0, 14), continuation(1, BLOCK.subarray(5), TRAILERS), HELLO],
    [ANSWERED, SERVED],
  ],
  [
    "§6.10: a block of 32 KiB, of which the head then is too large",
    [inPieces(1, manyBytes(32 * 1024), [16_384])],
    ["RST_STREAM 1 ENHANCE_YOUR_CALM", SERVED],
  ],
  [
    "§6.10: a block of 4 MiB, of which one value is nearly all: the Check is denied, and the connection goes on",
    [inBlocks(1, Buffer.concat([BLOCK, literal(0x40, ["tracestate", "v".repeat(4_000_000)])])), HELLO],
    ["1 answered: denied", SERVED],
  ],
  [
    "§6.10: a name of 16 KiB and a byte, which no client of Envoy can choose",
    [inBlocks(1, Buffer.concat([BLOCK, literal(0, ["n".repeat(16_385), "v"])]))],
    ended("COMPRESSION_ERROR"),
  ],
  [
    "§6.10: CONTINUATION of which many say little",
    [
      encodeFrame(FRAME.HEADERS, 0, 1, NOTHING),
      ...Array.from({ length: 20 }, () => continuation(1, Buffer.alloc(1000, 0x82), 0)),
      continuation(1, NOTHING, 0),
    ],
    ended("ENHANCE_YOUR_CALM"),
  ],
  [
    "§6.10: CONTINUATION without end",
    [
      encodeFrame(FRAME.HEADERS, 0, 1, NOTHING),
      ...Array.from({ length: 16 }, () => continuation(1, NOTHING, 0)),
    ],
    ended("ENHANCE_YOUR_CALM"),
  ],
  ["§6.10: CONTINUATION without HEADERS", [continuation(1, BLOCK)], ended("PROTOCOL_ERROR")],
  [
    "§6.10: CONTINUATION behind the end of HEADERS",
    [headers(1), continuation(1, NOTHING)],
    ended("PROTOCOL_ERROR", 1),
  ],
  [
    "§6.10: CONTINUATION behind DATA",
    [headers(1), data(1, NOTHING), continuation(1, NOTHING)],
    ended("PROTOCOL_ERROR", 1),
  ],
  ["§6.10: CONTINUATION on stream 0", [continuation(0, BLOCK)], ended("PROTOCOL_ERROR")],
  [
    "§6.10: CONTINUATION of another stream",
    [encodeFrame(FRAME.HEADERS, 0, 1, BLOCK), continuation(3, NOTHING)],
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
    (name, type): Case => [
      `§6.2: ${name} amid a head`,
      [
        encodeFrame(FRAME.HEADERS, 0, 1, BLOCK),
        encodeFrame(type, 0, type === 4 || type === 6 || type === 7 ? 0 : 1, Buffer.alloc(8)),
      ],
      ended("PROTOCOL_ERROR"),
    ],
  ),
  [
    "§6.2: an unknown frame amid a head",
    [encodeFrame(FRAME.HEADERS, 0, 1, BLOCK), encodeFrame(0x42, 0, 1, NOTHING)],
    ended("PROTOCOL_ERROR"),
  ],
  [
    "§6.2: a frame amid trailers",
    [headers(1), encodeFrame(FRAME.HEADERS, OVER, 1, NOTHING), PING],
    ended("PROTOCOL_ERROR", 1),
  ],

  [
    "§8.1: trailers",
    [headers(1), data(1, HELLO.subarray(9)), headers(1, [["x-end", "1"]], TRAILERS)],
    [ANSWERED, SERVED],
  ],
  [
    "§8.1: trailers in pieces",
    [headers(1), data(1, HELLO.subarray(9)), inPieces(1, headerBlock([["x-end", "1"]]), [2], OVER)],
    [ANSWERED, SERVED],
  ],
  [
    "§8.1: trailers without a field",
    [headers(1), data(1, HELLO.subarray(9)), headers(1, [], TRAILERS)],
    [ANSWERED, SERVED],
  ],
  [
    "§8.1: trailers that do not end their call",
    [headers(1), headers(1, [["x-end", "1"]]), HELLO],
    ["RST_STREAM 1 PROTOCOL_ERROR", SERVED],
  ],
  [
    "§8.1: trailers with a field that only a head has",
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
    "§5.1: trailers of a call that was reset, which were on their way",
    [headers(1), encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(8)), headers(1, [], TRAILERS)],
    ["RST_STREAM 1 STREAM_CLOSED", SERVED],
  ],
  [
    "§5.1: trailers behind the end of a call that waits for its answer, which then gets none",
    [LATER, headers(1, [], TRAILERS)],
    ["RST_STREAM 1 STREAM_CLOSED", SERVED],
  ],
  [
    "§5.1: a second head of a call that waits for its answer",
    [LATER, headers(1)],
    ["RST_STREAM 1 STREAM_CLOSED", SERVED],
  ],

  [
    "§6.5.2: a head that counts 256 KiB, in a thousand fields",
    [inBlocks(1, headerBlock(headOf(1000, 262_144))), HELLO],
    [ANSWERED, SERVED],
  ],
  [
    "§10.5.1: a Check whose head counts a byte more",
    [inBlocks(1, headerBlock(headOf(1000, 262_145))), HELLO],
    ["1 answered: denied", SERVED],
  ],
];

test.each(CASES)("%s", async (_what, bytes, outcome) => {
  expect(await outcomeOf(door.address(), ...bytes)).toEqual(outcome);
});

/** HEADERS on stream 1 with what flags ask for before the block, and behind it. */
function headersWith(flags: number, before: Buffer, after: Buffer = NOTHING): Buffer {
  return encodeFrame(FRAME.HEADERS, flags | FLAG.END_HEADERS, 1, Buffer.concat([before, BLOCK, after]));
}

/** A header block in frames that are as full as they may be. */
function inBlocks(streamId: number, block: Buffer, flags = 0): Buffer {
  const cuts = Array.from(
    { length: Math.ceil(block.length / 16_384) - 1 },
    (_, index) => 16_384 * (index + 1),
  );
  return inPieces(streamId, block, cuts, flags);
}

/** A block of so many bytes: each is ":method: GET". */
function manyBytes(count: number): Buffer {
  return Buffer.alloc(count, 0x82);
}

/** Puts the path into the table, where its index is then 62 (RFC 7541 §6.2.1). */
const KEPT_PATH = Buffer.from([0x44, CHECK_PATH.length, ...Buffer.from(CHECK_PATH)]);
const BY_TABLE = Buffer.concat([Buffer.of(0x83, 0x86, 0x80 | 62), headerBlock(HEAD.slice(4))]);

test.each<Case>([
  ["malformed", [encodeFrame(FRAME.HEADERS, 4, 1, KEPT_PATH)], ["RST_STREAM 1 PROTOCOL_ERROR"]],
  [
    "too many bytes",
    [inBlocks(1, Buffer.concat([headerBlock(headOf(2000, 400_000)), KEPT_PATH])), HELLO],
    ["1 answered: denied"],
  ],
  [
    "with a content-length and no body",
    [
      encodeFrame(
        FRAME.HEADERS,
        TRAILERS,
        1,
        Buffer.concat([Buffer.of(0x83, 0x86), KEPT_PATH, headerBlock([["content-length", "1"]])]),
      ),
    ],
    ["1 answered: denied"],
  ],
])("RFC 7541 §2.2: a head that is refused counts for the table: %s", async (_what, bytes, outcome) => {
  const byTable = [encodeFrame(FRAME.HEADERS, 4, 3, BY_TABLE), lastMessage(3, "by the table")];
  expect(await outcomeOf(door.address(), ...bytes, ...byTable)).toEqual([
    ...outcome,
    "3 answered: by the table",
    SERVED,
  ]);
});

test("RFC 7541 §2.2: trailers of a call that is over count for the table", async () => {
  const kept = Buffer.concat([Buffer.of(0x40), headerBlock([["grpc-encoding", "gzip"]]).subarray(1)]);
  const health = headerBlock(HEAD.with(2, [":path", "/grpc.health.v1.Health/Check"]));
  const byTable = Buffer.concat([health, Buffer.of(0x80 | 62)]);
  expect(
    await outcomeOf(
      door.address(),
      checkOf(1, "hello"),
      encodeFrame(FRAME.HEADERS, TRAILERS, 1, kept),
      encodeFrame(FRAME.HEADERS, TRAILERS, 3, byTable),
    ),
  ).toEqual([ANSWERED, "RST_STREAM 1 STREAM_CLOSED", "3 refused: 200, 12", SERVED]);
});

test.each<readonly [what: string, block: Buffer]>([
  ["§6.1: index 0", Buffer.of(0x80)],
  ["§2.3.3: an index beyond the table", Buffer.of(0x80 | 62)],
  ["§2.3.3: a name's index beyond the table", Buffer.of(0x40 | 62, 0)],
  ["§5.1: an integer without end", Buffer.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)],
  ["§5.2: a string longer than its block", Buffer.of(0, 5, 0x61)],
  ["§5.2: Huffman padding of more than 7 bits", Buffer.of(0, 0x81, 0xff, 0)],
  ["§5.2: Huffman padding of zeros", Buffer.of(0, 0x81, 0x18, 0)],
  ["§5.2: EOS amid a Huffman string", Buffer.of(0, 0x84, 0xff, 0xff, 0xff, 0xff, 0)],
  ["§6.3: a table larger than allowed", Buffer.of(0x3f, 0xe2, 0x1f)],
  ["§4.2: a table's size behind a field", Buffer.of(0x83, 0x20)],
  ["a field that is cut off", BLOCK.subarray(0, -1)],
])(
  "RFC 7541 %s ends the connection, in a head, in trailers, and on a stream that is closed",
  async (_what, block) => {
    const compressionError = (last: number) => ended("COMPRESSION_ERROR", last);
    expect(await outcomeOf(door.address(), encodeFrame(FRAME.HEADERS, 4, 1, block))).toEqual(
      compressionError(0),
    );
    const trailers = encodeFrame(FRAME.HEADERS, TRAILERS, 1, block);
    expect(await outcomeOf(door.address(), headers(1), trailers)).toEqual(compressionError(1));
    expect(await outcomeOf(door.address(), checkOf(1, "hello"), trailers)).toEqual([
      ANSWERED,
      ...compressionError(1),
    ]);
  },
);

const AGREED = encodeFrame(FRAME.SETTINGS, FLAG.ACK, 0, NOTHING);

test("§6.5.3: a caller that has not acknowledged this yet may open four times as many: a busy one does so at once", async () => {
  const ids = Array.from({ length: 4097 }, (_, index) => 2 * index + 1);
  const connection = await connectFrames(door.address());
  const block = headerBlock(HEAD);
  await connection.send(OPENING, ...ids.map((id) => encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS, id, block)));
  await connection.send(...ids.slice(0, -1).map((id) => lastMessage(id, "all")));
  await connection.until("8191 answered: all");
  expect(connection.lines.slice(3)).toEqual([
    "RST_STREAM 8193 REFUSED_STREAM",
    ...ids.slice(0, -1).map((id) => `${id} answered: all`),
  ]);
  connection.socket.destroy();
});

test("§5.1.2: 1024 calls may be open; one more is refused, until one is over", async () => {
  const connection = await connectFrames(door.address());
  const ids = Array.from({ length: 1024 }, (_, index) => 2 * index + 1);
  await connection.send(
    OPENING,
    AGREED,
    ...ids.map((id) => headers(id)),
    headers(2049),
    HELLO,
    checkOf(2051, "next"),
  );
  await connection.until("2051 answered: next");
  expect(connection.lines.slice(3)).toEqual([
    "RST_STREAM 2049 REFUSED_STREAM",
    ANSWERED,
    "2051 answered: next",
  ]);
  await connection.send(...ids.slice(1).map((id) => lastMessage(id, "all")));
  await connection.until("2047 answered: all");
  expect(connection.lines.slice(6)).toEqual(ids.slice(1).map((id) => `${id} answered: all`));
  connection.socket.destroy();
});
