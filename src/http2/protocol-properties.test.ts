import fc from "fast-check";
import { expect, test } from "vitest";
import { echoDoor } from "../../test/support/echo-door.ts";
import { CHECK_PATH, frame as grpcFrame } from "../../test/support/grpc-client.ts";
import {
  checkOf,
  connectFrames,
  data,
  HEAD,
  headers,
  inPieces,
  lastMessage,
  OPENING,
  padded,
  settings,
} from "../../test/support/http2-frames.ts";
import { encodeFrame, encodeUint32s, FLAG, FRAME, PREFACE, SETTING } from "./frames.ts";
import { headerBlock } from "./header-encoder.ts";

const door = echoDoor();

const BLOCK = headerBlock(HEAD);
const MESSAGE = grpcFrame(Buffer.from("in pieces"));
const TRAILERS = FLAG.END_HEADERS | FLAG.END_STREAM;
/** Puts its fields into the table, by literals and by the static table's names, and takes the last one from there. */
const KEEPING = Buffer.concat([
  Buffer.of(0x83, 0x86),
  Buffer.of(0x44, CHECK_PATH.length),
  Buffer.from(CHECK_PATH),
  Buffer.from([0x40, 2]),
  Buffer.from("te"),
  Buffer.from([8]),
  Buffer.from("trailers"),
  headerBlock([["content-type", "application/grpc"]]),
]);
const KEPT = Buffer.concat([
  Buffer.of(0x83, 0x86, 0x80 | 63, 0x80 | 62),
  headerBlock([["content-type", "application/grpc"]]),
]);

/** What a caller may say of all that there is, and the answers to it. */
const CONVERSATION = Buffer.concat([
  OPENING,
  checkOf(1, "one"),
  encodeFrame(FRAME.PING, 0, 0, Buffer.from("pingpong")),
  encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS, 3, KEEPING),
  padded(FRAME.DATA, 3, MESSAGE.subarray(0, 4), 7),
  settings([SETTING.INITIAL_WINDOW_SIZE, 10], [SETTING.HEADER_TABLE_SIZE, 0], [0xfafa, 1]),
  encodeFrame(FRAME.PRIORITY, 0, 7, Buffer.alloc(5)),
  inPieces(5, KEPT, [1, 1, 9], FLAG.END_STREAM),
  data(3, MESSAGE.subarray(4)),
  encodeFrame(0x42, 0xff, 3, Buffer.from("unknown")),
  headers(3, [["x-end", "1"]], TRAILERS),
  encodeFrame(FRAME.WINDOW_UPDATE, 0, 0, encodeUint32s(9)),
  encodeFrame(FRAME.WINDOW_UPDATE, 0, 3, encodeUint32s(3)),
  headers(7),
  encodeFrame(FRAME.RST_STREAM, 0, 7, encodeUint32s(8)),
  headers(9, []),
  settings([SETTING.INITIAL_WINDOW_SIZE, 65_535]),
  checkOf(11, "last"),
]);

const ANSWERS = [
  "SETTINGS",
  "WINDOW_UPDATE 0 16711681",
  "SETTINGS ACK",
  "1 answered: one",
  "PING ACK 70696e67706f6e67",
  "SETTINGS ACK",
  "RST_STREAM 9 PROTOCOL_ERROR",
  "SETTINGS ACK",
  "3 answered: in pieces",
  "5 answered: denied",
  "11 answered: last",
];

/** A turn of the loop, in which the server reads what has come. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** What the server says to these pieces, each of which it reads by itself. */
async function answersTo(pieces: readonly Uint8Array[]): Promise<readonly string[]> {
  const connection = await connectFrames(door.address());
  for (const piece of pieces) {
    await connection.send(piece);
    await turn();
  }
  await connection.until("11 answered: last");
  connection.socket.destroy();
  return connection.lines;
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...places.toSorted((a, b) => a - b), bytes.length];
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

const PLACES = Array.from({ length: CONVERSATION.length + 1 }, (_, place) => place);

test("a conversation that comes in one piece, or byte by byte, is answered as it should be", async () => {
  expect(await answersTo([CONVERSATION])).toEqual(ANSWERS);
  expect(await answersTo(cut(CONVERSATION, PLACES))).toEqual(ANSWERS);
});

test("wherever a conversation is cut in two, its answers are the same", async () => {
  for (const place of PLACES)
    expect([place, await answersTo(cut(CONVERSATION, [place]))]).toEqual([place, ANSWERS]);
});

test("however a conversation is cut, its answers are the same", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.constantFrom(...PLACES), { maxLength: 12 }), async (places) => {
      expect(await answersTo(cut(CONVERSATION, places))).toEqual(ANSWERS);
    }),
    { numRuns: 100 },
  );
});

/** The bytes are sent, and then the end: the connection closes, and another one is served at once. */
async function expectUnharmed(bytes: Uint8Array): Promise<void> {
  const connection = await connectFrames(door.address());
  await connection.send(bytes);
  connection.socket.end();
  const other = await connectFrames(door.address());
  await other.send(OPENING, checkOf(1, "hello"));
  await other.until("1 answered: hello");
  expect(other.lines).toContain("1 answered: hello");
  other.socket.destroy();
  await connection.closed;
}

/** As the RFC has them: what matters is often the low numbers. */
const streamIds = fc.oneof(fc.nat(9), fc.constantFrom(0, 1, 1, 3, 2 ** 31 - 1), fc.nat(2 ** 31 - 1));
const payloads = fc.oneof(
  fc.uint8Array({ maxLength: 64 }),
  fc.constantFrom<Uint8Array>(
    BLOCK,
    KEEPING,
    KEPT,
    MESSAGE,
    Buffer.alloc(4),
    Buffer.alloc(5),
    Buffer.alloc(8),
  ),
  fc.nat(0xffff_ffff).map((number) => encodeUint32s(number)),
  fc.tuple(fc.nat(7), fc.nat(0xffff_ffff)).map(([id, value]) => settings([id, value]).subarray(9)),
);
const frames = fc
  .tuple(fc.nat(11), fc.oneof(fc.constantFrom(0, 1, 4, 5), fc.nat(255)), streamIds, payloads)
  .map(([type, flags, streamId, payload]) => encodeFrame(type, flags, streamId, payload));

const mutations = fc.array(
  fc.record({
    kind: fc.constantFrom("change", "drop", "repeat", "insert"),
    at: fc.nat(CONVERSATION.length - 1),
    length: fc.integer({ min: 1, max: 40 }),
    byte: fc.nat(255),
  }),
  { minLength: 1, maxLength: 6 },
);

const mutated = mutations.map((list) =>
  list.reduce((bytes, { kind, at, length, byte }) => {
    // The preface stays: behind a wrong one nothing is read.
    const from = Math.min(bytes.length, Math.max(at, OPENING.length));
    const [before, span, after] = [
      bytes.subarray(0, from),
      bytes.subarray(from, from + length),
      bytes.subarray(from + length),
    ];
    if (kind === "change") return Buffer.concat([before, Buffer.of(byte), bytes.subarray(from + 1)]);
    if (kind === "drop") return Buffer.concat([before, after]);
    if (kind === "repeat") return Buffer.concat([before, span, span, after]);
    return Buffer.concat([before, Buffer.of(byte), bytes.subarray(from)]);
  }, CONVERSATION),
);

test.each<readonly [what: string, bytes: fc.Arbitrary<Uint8Array>, runs: number]>([
  [
    "bytes of any kind",
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.concat([OPENING, bytes])),
    300,
  ],
  [
    "bytes of any kind instead of SETTINGS",
    fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.concat([PREFACE, bytes])),
    100,
  ],
  [
    "frames of any kind",
    fc.array(frames, { maxLength: 30 }).map((all) => Buffer.concat([OPENING, ...all])),
    500,
  ],
  [
    "frames of any kind, behind the head of a call",
    fc
      .array(frames, { maxLength: 30 })
      .map((all) => Buffer.concat([OPENING, headers(1), headers(3), lastMessage(3, "later"), ...all])),
    500,
  ],
  ["a conversation with mistakes", mutated, 500],
])("%s do no harm: no fault, and another connection is served at once", async (_what, bytes, numRuns) => {
  await fc.assert(fc.asyncProperty(bytes, expectUnharmed), { numRuns });
});
