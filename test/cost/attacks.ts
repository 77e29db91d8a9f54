import { ERROR_CODE, encodeFrame, encodeUint32s, FLAG, FRAME, SETTING } from "../../src/http2/frames.ts";
import { encodeHeaderBlock } from "../../src/http2/header-encoder.ts";
import type { Fields } from "../support/http2-frames.ts";
import { checkOf, data, HEAD, headers, inPieces, lastMessage, settings } from "../support/http2-frames.ts";

/** A client that tries to make the server work, keep or send more than it deserves. */
export interface Attack {
  readonly name: string;
  /** Sent first, and counted. */
  readonly opening?: readonly Buffer[];
  /** @param id a stream id that has not been used */
  readonly repeated: (id: number) => Buffer;
  readonly times: number;
  /** The server reads this much at once: by default what a packet carries. */
  readonly readBytes?: number;
  readonly readsNothing?: boolean;
  /** What it may cost beyond {@link PER_BYTE}. */
  readonly perByte?: Partial<typeof PER_BYTE>;
}

/** What each received byte may cost: executed statements, bytes that stay in memory, and bytes that are sent. */
export const PER_BYTE = { steps: 12, held: 2, sent: 1.1 };
/** What any connection may cost in addition. */
export const FIXED = { steps: 20_000, held: 1024 * 1024, sent: 500 };
/** What any connection may keep, whatever it sends. */
export const MOST_HELD_BYTES = 32 * 1024 * 1024;

const NO_BYTES = Buffer.alloc(0);
const COMPLETE = FLAG.END_HEADERS | FLAG.END_STREAM;
const LAST_ID = 2 ** 30 + 1;
const REFLECTION = callOf("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
const WATCH = callOf("/grpc.health.v1.Health/Watch");
const ping = encodeFrame(FRAME.PING, 0, 0, Buffer.from("pingpong"));
const reset = (id: number) => encodeFrame(FRAME.RST_STREAM, 0, id, encodeUint32s(ERROR_CODE.CANCEL));
const windowUpdate = (id: number, bytes: number) =>
  encodeFrame(FRAME.WINDOW_UPDATE, 0, id, encodeUint32s(bytes));
const initialWindow = (bytes: number) => settings([SETTING.INITIAL_WINDOW_SIZE, bytes]);
/** A reflection request for the descriptors of the largest service. */
const symbolRequest = Buffer.concat([
  Buffer.of(0, 0, 0, 0, 37, 0x22, 35),
  Buffer.from("envoy.service.auth.v3.Authorization"),
]);
/** A block that puts 4 KB into the table, and one that refers to it in each byte. */
const largeField = Buffer.concat([Buffer.of(0x40, 1, 0x78, 0x7f, 0xa1, 0x1e), Buffer.alloc(4000, 0x61)]);
const bomb = Buffer.concat([encodeHeaderBlock(HEAD), Buffer.alloc(8000, 0x80 | 62)]);
const ids = (count: number) => Array.from({ length: count }, (_, index) => 2 * index + 1);

function callOf(path: string): Fields {
  return HEAD.map(([name, value]) => [name, name === ":path" ? path : value] as const);
}

function headersOf(block: Buffer, id: number): Buffer {
  return encodeFrame(FRAME.HEADERS, COMPLETE, id, block);
}

/** The ids of `opening` must be lower than those of `repeated`. */
export const ATTACKS: readonly Attack[] = [
  { name: "honest Checks", repeated: (id) => checkOf(id, "hello"), times: 5000 },
  {
    name: "rapid reset, CVE-2023-44487",
    repeated: (id) => Buffer.concat([headers(id), reset(id)]),
    times: 10_000,
  },
  {
    name: "rapid reset of Checks under way, CVE-2023-44487",
    repeated: (id) => Buffer.concat([checkOf(id, "later"), reset(id)]),
    times: 10_000,
  },
  {
    name: "resets that the client provokes, CVE-2025-8671",
    repeated: (id) => Buffer.concat([checkOf(id, "later"), windowUpdate(id, 0)]),
    times: 10_000,
  },
  {
    name: "endless CONTINUATION frames of a byte, CVE-2024-27316",
    opening: [encodeFrame(FRAME.HEADERS, 0, 1, NO_BYTES)],
    repeated: () => encodeFrame(FRAME.CONTINUATION, 0, 1, Buffer.of(0x82)),
    times: 10_000,
  },
  {
    name: "endless full CONTINUATION frames, CVE-2024-27316",
    opening: [encodeFrame(FRAME.HEADERS, 0, 1, NO_BYTES)],
    repeated: () => encodeFrame(FRAME.CONTINUATION, 0, 1, Buffer.alloc(16_384, 0x82)),
    times: 300,
    perByte: { steps: 40 },
  },
  {
    name: "SETTINGS flood, CVE-2019-9515",
    repeated: () => settings([SETTING.MAX_FRAME_SIZE, 16_384]),
    times: 10_000,
  },
  {
    name: "SETTINGS that change the windows of many streams, CVE-2019-9515",
    opening: ids(1000).map((id) => headers(id)),
    repeated: (id) => initialWindow(id % 4 === 1 ? 10 : 20),
    times: 10_000,
  },
  { name: "PING flood, CVE-2019-9512", repeated: () => ping, times: 50_000 },
  {
    name: "PING flood without reading, CVE-2019-9512",
    repeated: () => ping,
    times: 200_000,
    readsNothing: true,
  },
  {
    name: "empty DATA frames, CVE-2019-9518",
    opening: [headers(1)],
    repeated: () => data(1, NO_BYTES),
    times: 50_000,
  },
  {
    name: "PRIORITY churn, CVE-2019-9513",
    repeated: (id) => encodeFrame(FRAME.PRIORITY, 0, id, Buffer.alloc(5)),
    times: 50_000,
  },
  { name: "frames of an unknown type", repeated: () => encodeFrame(0x42, 0, 0, NO_BYTES), times: 50_000 },
  { name: "GOAWAY flood", repeated: () => encodeFrame(FRAME.GOAWAY, 0, 0, Buffer.alloc(8)), times: 50_000 },
  { name: "resets of closed streams", opening: [checkOf(1, "x")], repeated: () => reset(1), times: 50_000 },
  {
    name: "DATA on closed streams",
    repeated: (id) => Buffer.concat([checkOf(id, "x"), data(id, NO_BYTES)]),
    times: 10_000,
  },
  {
    name: "fields without a name, CVE-2019-9516",
    repeated: (id) => headersOf(Buffer.alloc(3000), id),
    times: 1000,
    perByte: { steps: 30 },
  },
  {
    name: "HPACK bomb, CVE-2016-6581",
    opening: [headersOf(Buffer.concat([encodeHeaderBlock(HEAD), largeField]), 1)],
    repeated: (id) => headersOf(bomb, id),
    times: 500,
    perByte: { steps: 30 },
  },
  {
    name: "a new field for the table in every block",
    repeated: (id) =>
      headersOf(Buffer.concat([encodeHeaderBlock(HEAD), Buffer.of(0x40, 1, 0x78, 1, id & 0x7f)]), id),
    times: 5000,
  },
  {
    name: "heads that are malformed",
    repeated: (id) => headersOf(Buffer.of(0x82), id),
    times: 10_000,
    perByte: { steps: 25, sent: 1.5 },
  },
  { name: "heads without a body", repeated: (id) => headers(id), times: 10_000 },
  {
    name: "a body byte by byte",
    opening: [headers(1)],
    repeated: () => data(1, Buffer.of(0)),
    times: 50_000,
  },
  {
    name: "many bodies that do not end",
    opening: ids(1000).map((id) => headers(id)),
    repeated: (id) => data(id % 2000, Buffer.alloc(1000)),
    times: 10_000,
  },
  {
    name: "responses byte by byte, CVE-2019-9511",
    opening: [initialWindow(0), ...ids(1000).map((id) => checkOf(id, "x".repeat(1000)))],
    repeated: (id) => windowUpdate(id % 2000, 1),
    times: 50_000,
  },
  {
    name: "the connection's window byte by byte, each in a packet, with many streams, CVE-2019-9511",
    opening: ids(1000).map((id) => (id < 1950 ? headers(id) : checkOf(id, "x".repeat(5000)))),
    repeated: () => windowUpdate(0, 1),
    times: 20_000,
    readBytes: 13,
  },
  {
    name: "responses that wait, to Checks in small packets",
    opening: [initialWindow(0)],
    repeated: (id) => checkOf(id, "x".repeat(100)),
    times: 4000,
    readBytes: 13,
    perByte: { held: 6 },
  },
  {
    name: "windows that stay closed, CVE-2019-9517",
    opening: [initialWindow(0)],
    repeated: (id) => checkOf(id, "x".repeat(10_000)),
    times: 4000,
  },
  {
    name: "a client that does not read, CVE-2019-9517",
    repeated: (id) => Buffer.concat([windowUpdate(0, 10_005), checkOf(id, "x".repeat(10_000))]),
    times: 5000,
    readsNothing: true,
  },
  {
    name: "reflection",
    opening: [headers(1, REFLECTION)],
    repeated: () => Buffer.concat([windowUpdate(0, 50_000), windowUpdate(1, 50_000), data(1, symbolRequest)]),
    times: 1000,
    perByte: { sent: 100 },
  },
  {
    name: "reflection requests byte by byte, whose responses wait",
    opening: [
      initialWindow(0),
      ...ids(8).flatMap((id) => [headers(id, REFLECTION), data(id, symbolRequest)]),
    ],
    repeated: (id) => data(ids(8)[(id >> 1) % 8] ?? 1, Buffer.of(0)),
    times: 200_000,
  },
  {
    name: "health watches",
    repeated: (id) => Buffer.concat([headers(id, WATCH), data(id, Buffer.alloc(5), FLAG.END_STREAM)]),
    times: 5000,
  },
  {
    name: "trailers of closed streams",
    opening: [checkOf(1, "x")],
    repeated: (id) => Buffer.concat([checkOf(id, "x"), headers(id, [["x-end", "1"]], COMPLETE)]),
    times: 10_000,
  },
  {
    name: "a stream id that uses up all others",
    opening: [headers(LAST_ID), lastMessage(LAST_ID, "x")],
    repeated: () => inPieces(LAST_ID, encodeHeaderBlock([["x-end", "1"]]), [2], FLAG.END_STREAM),
    times: 10_000,
  },
];
