import { expect, test } from "vitest";
import { HEAD, headers, inPieces } from "../../test/support/http2-frames.ts";
import { memoryConnection } from "../../test/support/memory-connection.ts";
import type { Stream } from "./connection-state.ts";
import { encodeFrame, FLAG, FRAME } from "./frames.ts";
import { encodeHeaderBlock } from "./header-encoder.ts";
import { CompressionError } from "./hpack.ts";

const BLOCK = encodeHeaderBlock(HEAD);
const TRAILERS = FLAG.END_HEADERS | FLAG.END_STREAM;
/** An index beyond both tables (RFC 7541 §2.3.3). */
const INVALID_BLOCK = Buffer.of(0xff, 0x7f);
const MIB = 1024 * 1024;

/** A client, and the streams whose requests have ended, in their order. */
function connect() {
  const ends: number[] = [];
  const client = memoryConnection({
    onRequest(stream: Stream) {
      stream.onBody = (_stream, _piece, isLast) => {
        if (isLast) ends.push(stream.id);
      };
    },
  });
  return { ...client, ends };
}

function continuation(payload: Uint8Array, flags = 0): Buffer {
  return encodeFrame(FRAME.CONTINUATION, flags, 1, payload);
}

/** A block in this number of frames, all of which but the first are empty. */
function inFrames(count: number, block: Buffer): Buffer {
  return inPieces(
    1,
    block,
    Array.from({ length: count - 1 }, () => block.length),
  );
}

test("§5.1.1: a client may not open a stream with an even id", () => {
  expect(connect().send(headers(2))).toEqual(["GOAWAY 0 PROTOCOL_ERROR"]);
});

test("§6.2: the deprecated priority of HEADERS is skipped, and a frame that is too short for it ends the connection", () => {
  const prioritized = (payload: Uint8Array) =>
    encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS | FLAG.PRIORITY, 1, payload);
  const { send, stream } = connect();
  expect(send(prioritized(Buffer.concat([Buffer.alloc(5, 0xff), BLOCK])))).toEqual([]);
  expect(stream(1).state).toBe("open");
  expect(connect().send(prioritized(Buffer.alloc(4)))).toEqual(["GOAWAY 0 FRAME_SIZE_ERROR"]);
});

test.each([
  ["one frame", []],
  ["two frames", [5]],
  ["two frames, of which the second is empty", [BLOCK.length]],
])("§8.1: END_STREAM of HEADERS ends the request with its header block, in %s", (_what, cuts) => {
  const ending = connect();
  expect(ending.send(inPieces(1, BLOCK, cuts, FLAG.END_STREAM))).toEqual([]);
  expect([ending.stream(1).state, ending.ends]).toEqual(["half-closed (remote)", [1]]);
  const open = connect();
  expect(open.send(inPieces(1, BLOCK, cuts))).toEqual([]);
  expect([open.stream(1).state, open.ends]).toEqual(["open", []]);
});

test("§8.1: a second header block of a stream is its trailers, also in several frames, and the next block is a new head", () => {
  const { send, ends, stream } = connect();
  const trailers = encodeHeaderBlock([["x-end", "1"]]);
  expect(send(headers(1), headers(3))).toEqual([]);
  expect(send(headers(3, [["x-end", "1"]], TRAILERS), inPieces(1, trailers, [2], FLAG.END_STREAM))).toEqual(
    [],
  );
  expect(send(headers(5))).toEqual([]);
  expect([ends, stream(5).state]).toEqual([[3, 1], "open"]);
});

test("§8.1.1: a malformed block makes only its own request malformed", () => {
  const { send, stream } = connect();
  expect(send(headers(1, []), headers(3))).toEqual(["RST_STREAM 1 PROTOCOL_ERROR"]);
  expect(stream(3).state).toBe("open");
});

test("§6.10: CONTINUATION without a block, or after the end of one, ends the connection", () => {
  expect(connect().send(continuation(BLOCK, FLAG.END_HEADERS))).toEqual(["GOAWAY 0 PROTOCOL_ERROR"]);
  const { send } = connect();
  expect(send(inPieces(1, BLOCK, [5]), continuation(Buffer.alloc(0)))).toEqual(["GOAWAY 1 PROTOCOL_ERROR"]);
});

test("RFC 7541 §2.3.3: an error of the compression ends the connection, in HEADERS and in CONTINUATION", () => {
  for (const cuts of [[], [1]])
    expect(connect().send(inPieces(1, INVALID_BLOCK, cuts))).toEqual(["GOAWAY 0 COMPRESSION_ERROR"]);
});

test("RFC 7541 §4.3: a block may not end within a field, but a frame may", () => {
  const cut = BLOCK.subarray(0, -1);
  expect(connect().send(inPieces(1, cut, []))).toEqual(["GOAWAY 0 COMPRESSION_ERROR"]);
  expect(connect().send(inPieces(1, cut, [cut.length]))).toEqual(["GOAWAY 0 COMPRESSION_ERROR"]);
  expect(connect().send(inPieces(1, BLOCK, [cut.length]))).toEqual([]);
});

test("a fault of the server's own decoder is no error of the client", () => {
  const faults: unknown[] = [];
  const { connection, send } = memoryConnection({ onFault: (error) => faults.push(error) });
  const fault = new Error("a fault");
  Object.assign(connection.hpack, {
    decode() {
      throw fault;
    },
  });
  expect(send(headers(1))).toEqual([]);
  expect(faults).toEqual([fault]);
  expect(fault).not.toBeInstanceOf(CompressionError);
});

test("CVE-2024-27316: a small block may have 16 frames, and not one more", () => {
  // An empty block is a malformed head, which resets its stream only.
  expect(connect().send(inFrames(16, Buffer.alloc(0)))).toEqual(["RST_STREAM 1 PROTOCOL_ERROR"]);
  expect(connect().send(inFrames(16, BLOCK))).toEqual([]);
  expect(connect().send(inFrames(17, BLOCK))).toEqual(["GOAWAY 0 ENHANCE_YOUR_CALM"]);
});

test("CVE-2024-27316: a large block may have one frame more for each 4,096 bytes", () => {
  // A literal field of two full frames, which is too large for a head.
  const block = Buffer.concat([Buffer.of(0, 1, 0x78, 0x7f, 0x81, 0xff, 0x00), Buffer.alloc(16_384, "v")]);
  expect(block.length).toBeGreaterThanOrEqual(4 * 4096);
  const split = (frames: number) =>
    inPieces(1, block, [10, 10 + 16_000, ...Array.from({ length: frames - 3 }, () => block.length)]);
  expect(connect().send(split(20))).toEqual(["RST_STREAM 1 ENHANCE_YOUR_CALM"]);
  expect(connect().send(split(21))).toEqual(["GOAWAY 0 ENHANCE_YOUR_CALM"]);
});

test.each([
  [64 * MIB, []],
  [64 * MIB + 1, ["GOAWAY 0 ENHANCE_YOUR_CALM"]],
])("a block of %i compressed bytes", (bytes, lines) => {
  const { connection, send, stream } = connect();
  send(inPieces(1, BLOCK, [5]).subarray(0, 9 + 5));
  expect(connection.headerBlock).toEqual({ streamId: 1, isEndStream: false, bytes: 5, frames: 1 });
  // As if this many bytes had come before the last frame.
  Object.assign(connection.headerBlock ?? {}, { bytes: bytes - (BLOCK.length - 5) });
  expect(send(continuation(BLOCK.subarray(5), FLAG.END_HEADERS))).toEqual(lines);
  if (lines.length === 0) expect(stream(1).state).toBe("open");
});
