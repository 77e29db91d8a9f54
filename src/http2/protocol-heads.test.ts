import { expect, test } from "vitest";
import { echoServer } from "../../test/support/echo-server.ts";
import {
  headWith,
  LENGTH_CASES,
  MALFORMED_ANYWHERE,
  malformedHeads,
  VALID_HEADS,
} from "../../test/support/head-cases.ts";
import { data, headers, inPieces, lastMessage, outcomeOf, SERVED } from "../../test/support/http2-frames.ts";
import { encodeHeaderBlock } from "./header-encoder.ts";

const server = echoServer();
const ANSWERED = "1 answered: hello";
const HELLO = lastMessage(1, "hello");

const OTHER_PATH = { ":path": "/other" };

test.each(malformedHeads({}))(
  "a Check with a malformed head is denied by a CheckResponse: %s",
  async (_what, fields) => {
    const cuts = Array.from(
      { length: Math.floor(encodeHeaderBlock(fields).length / 16_000) },
      (_, index) => (index + 1) * 16_000,
    );
    expect(await outcomeOf(server.address(), inPieces(1, encodeHeaderBlock(fields), cuts), HELLO)).toEqual([
      "1 answered: denied",
      SERVED,
    ]);
  },
);

test.each([...malformedHeads(OTHER_PATH), ...MALFORMED_ANYWHERE])(
  "a malformed head of another call resets this call only: %s",
  async (_what, fields) => {
    const cuts = Array.from(
      { length: Math.floor(encodeHeaderBlock(fields).length / 16_000) },
      (_, index) => (index + 1) * 16_000,
    );
    expect(await outcomeOf(server.address(), inPieces(1, encodeHeaderBlock(fields), cuts))).toEqual([
      `RST_STREAM 1 ${cuts.length === 0 ? "PROTOCOL_ERROR" : "ENHANCE_YOUR_CALM"}`,
      SERVED,
    ]);
  },
);

test.each(VALID_HEADS)("a call is served with %s", async (_what, fields) => {
  expect(await outcomeOf(server.address(), headers(1, fields), HELLO)).toEqual([ANSWERED, SERVED]);
});

test.each(LENGTH_CASES)(
  "§8.1.1: a Check is denied if its body does not have the length of its content-length: %s",
  async (_what, bytes, outcome) => {
    expect(await outcomeOf(server.address(), ...bytes)).toEqual(outcome);
  },
);

test("§8.1.1: another call is reset if its body is longer than its content-length", async () => {
  const head = headWith({ ":path": "/grpc.health.v1.Health/Check", "content-length": "10" });
  expect(await outcomeOf(server.address(), headers(1, head), data(1, Buffer.alloc(11)))).toEqual([
    "RST_STREAM 1 PROTOCOL_ERROR",
    SERVED,
  ]);
});
