import { expect, test } from "vitest";
import { CALL_CASES, INVALID_BLOCKS, inBlocks } from "../../test/support/call-cases.ts";
import { echoServer } from "../../test/support/echo-server.ts";
import { CHECK_PATH } from "../../test/support/grpc-client.ts";
import {
  checkOf,
  connectFrames,
  ended,
  HEAD,
  headers,
  headOf,
  lastMessage,
  OPENING,
  outcomeOf,
  SERVED,
} from "../../test/support/http2-frames.ts";
import { encodeFrame, FLAG, FRAME } from "./frames.ts";
import { encodeHeaderBlock } from "./header-encoder.ts";

const server = echoServer();

const NO_BYTES = Buffer.alloc(0);
const ANSWERED = "1 answered: hello";
const HELLO = lastMessage(1, "hello");
const TRAILERS = FLAG.END_HEADERS | FLAG.END_STREAM;

type Case = readonly [what: string, bytes: readonly Buffer[], outcome: readonly string[]];

test.each(CALL_CASES)("%s", async (_what, bytes, outcome) => {
  expect(await outcomeOf(server.address(), ...bytes)).toEqual(outcome);
});

/** Adds the path to the dynamic table, at index 62 (RFC 7541 §6.2.1). */
const INDEXED_PATH = Buffer.from([0x44, CHECK_PATH.length, ...Buffer.from(CHECK_PATH)]);
const BY_TABLE = Buffer.concat([Buffer.of(0x83, 0x86, 0x80 | 62), encodeHeaderBlock(HEAD.slice(4))]);

test.each<Case>([
  ["malformed", [encodeFrame(FRAME.HEADERS, 4, 1, INDEXED_PATH)], ["RST_STREAM 1 PROTOCOL_ERROR"]],
  [
    "too many bytes",
    [inBlocks(1, Buffer.concat([encodeHeaderBlock(headOf(2000, 400_000)), INDEXED_PATH])), HELLO],
    ["1 answered: denied"],
  ],
  [
    "with a content-length and no body",
    [
      encodeFrame(
        FRAME.HEADERS,
        TRAILERS,
        1,
        Buffer.concat([Buffer.of(0x83, 0x86), INDEXED_PATH, encodeHeaderBlock([["content-length", "1"]])]),
      ),
    ],
    ["1 answered: denied"],
  ],
])("RFC 7541 §2.2: a rejected head updates the table: %s", async (_what, bytes, outcome) => {
  const byTable = [encodeFrame(FRAME.HEADERS, 4, 3, BY_TABLE), lastMessage(3, "by the table")];
  expect(await outcomeOf(server.address(), ...bytes, ...byTable)).toEqual([
    ...outcome,
    "3 answered: by the table",
    SERVED,
  ]);
});

test("RFC 7541 §2.2: trailers of a closed stream update the table", async () => {
  const indexed = Buffer.concat([
    Buffer.of(0x40),
    encodeHeaderBlock([["grpc-encoding", "gzip"]]).subarray(1),
  ]);
  const health = encodeHeaderBlock(HEAD.with(2, [":path", "/grpc.health.v1.Health/Check"]));
  const byTable = Buffer.concat([health, Buffer.of(0x80 | 62)]);
  expect(
    await outcomeOf(
      server.address(),
      checkOf(1, "hello"),
      encodeFrame(FRAME.HEADERS, TRAILERS, 1, indexed),
      encodeFrame(FRAME.HEADERS, TRAILERS, 3, byTable),
    ),
  ).toEqual([ANSWERED, "RST_STREAM 1 STREAM_CLOSED", "3 rejected: 200, 12", SERVED]);
});

test.each(INVALID_BLOCKS)(
  "RFC 7541 %s ends the connection, in a head, in trailers, and on a closed stream",
  async (_what, block) => {
    const compressionError = (last: number) => ended("COMPRESSION_ERROR", last);
    expect(await outcomeOf(server.address(), encodeFrame(FRAME.HEADERS, 4, 1, block))).toEqual(
      compressionError(0),
    );
    const trailers = encodeFrame(FRAME.HEADERS, TRAILERS, 1, block);
    expect(await outcomeOf(server.address(), headers(1), trailers)).toEqual(compressionError(1));
    expect(await outcomeOf(server.address(), checkOf(1, "hello"), trailers)).toEqual([
      ANSWERED,
      ...compressionError(1),
    ]);
  },
);

const SETTINGS_ACK = encodeFrame(FRAME.SETTINGS, FLAG.ACK, 0, NO_BYTES);

test("§6.5.3: a client that has not acknowledged our SETTINGS may open four times as many streams", async () => {
  const ids = Array.from({ length: 4097 }, (_, index) => 2 * index + 1);
  const connection = await connectFrames(server.address());
  const block = encodeHeaderBlock(HEAD);
  await connection.send(OPENING, ...ids.map((id) => encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS, id, block)));
  await connection.send(...ids.slice(0, -1).map((id) => lastMessage(id, "all")));
  await connection.until("8191 answered: all");
  expect(connection.lines.slice(3)).toEqual([
    "RST_STREAM 8193 REFUSED_STREAM",
    ...ids.slice(0, -1).map((id) => `${id} answered: all`),
  ]);
  connection.socket.destroy();
});

test("§5.1.2: a client may open 1024 streams, and another one only after one is closed", async () => {
  const connection = await connectFrames(server.address());
  const ids = Array.from({ length: 1024 }, (_, index) => 2 * index + 1);
  await connection.send(
    OPENING,
    SETTINGS_ACK,
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
