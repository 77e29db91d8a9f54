import { expect, test } from "vitest";
import { echoDoor } from "../../../test/support/echo-door.ts";
import { CHECK_PATH } from "../../../test/support/grpc-client.ts";
import type { Fields } from "../../../test/support/http2-frames.ts";
import {
  data,
  HEAD,
  headers,
  lastMessage,
  outcomeOf,
  padded,
  SERVED,
} from "../../../test/support/http2-frames.ts";
import { FLAG, FRAME } from "./frames.ts";

const door = echoDoor();
const ANSWERED = "1 answered: hello";
const RESET = "RST_STREAM 1 PROTOCOL_ERROR";
const HELLO = lastMessage(1, "hello");
/** Bytes of the message in its frame. */
const HELLO_BYTES = "10";
const TRAILERS = FLAG.END_HEADERS | FLAG.END_STREAM;
const OVER = FLAG.END_STREAM;

type Case = readonly [what: string, bytes: readonly Buffer[], outcome: readonly string[]];

/** The head of a Check with other fields: `undefined` leaves one out. */
function headBut(changes: Readonly<Record<string, string | undefined>>, ...more: Fields): Fields {
  const all = Object.entries({ ...Object.fromEntries(HEAD), ...changes });
  return [...all.flatMap(([name, value]): Fields => (value === undefined ? [] : [[name, value]])), ...more];
}

test.each<readonly [what: string, fields: Fields]>([
  ["§8.2.1: a name with a capital letter", headBut({}, ["X-upper", "1"])],
  ["§8.2.1: a name with a blank", headBut({}, ["x blank", "1"])],
  ["§8.2.1: a name beyond ASCII", headBut({}, ["x-\u00e9", "1"])],
  ["§8.2.1: a name with a colon", headBut({}, ["x:y", "1"])],
  ["§8.2.1: no name", headBut({}, ["", "1"])],
  ["§8.2.1: a value with a line feed", headBut({}, ["x-value", "a\nb"])],
  ["§8.2.1: a value with a carriage return", headBut({}, ["x-value", "a\rb"])],
  ["§8.2.1: a value with a NUL", headBut({}, ["x-value", "a\0b"])],
  ["§8.2.1: a value that begins with a blank", headBut({}, ["x-value", " a"])],
  ["§8.2.1: a value that ends with a tab", headBut({}, ["x-value", "a\t"])],
  ["§8.2.1: a path with a line feed", headBut({ ":path": `${CHECK_PATH}\n` })],
  ["§8.2.1: a content-type that ends with a blank", headBut({ "content-type": "application/grpc " })],
  ["§8.2.2: connection", headBut({}, ["connection", "close"])],
  ["§8.2.2: proxy-connection", headBut({}, ["proxy-connection", "close"])],
  ["§8.2.2: keep-alive", headBut({}, ["keep-alive", "timeout=5"])],
  ["§8.2.2: transfer-encoding", headBut({}, ["transfer-encoding", "chunked"])],
  ["§8.2.2: upgrade", headBut({}, ["upgrade", "h2c"])],
  ["§8.2.2: te with more than trailers", headBut({ te: "trailers, deflate" })],
  ["§8.3: a pseudo-header behind another field", headBut({ ":path": undefined }, [":path", CHECK_PATH])],
  ["§8.3: the same pseudo-header twice", [[":method", "POST"], ...HEAD]],
  ["§8.3: the same pseudo-header twice, with another value", [[":authority", "another"], ...HEAD]],
  ["§8.3: a pseudo-header that there is not", [[":protocol", "websocket"], ...HEAD]],
  ["§8.3: a pseudo-header of answers", [[":status", "200"], ...HEAD]],
  ["§8.3.1: no :method", headBut({ ":method": undefined })],
  ["§8.3.1: no :scheme", headBut({ ":scheme": undefined })],
  ["§8.3.1: no :path", headBut({ ":path": undefined })],
  ["§8.3.1: an empty :path", headBut({ ":path": "" })],
  ["§8.3.1: an empty head", []],
  ["§8.1.1: content-length twice", headBut({ "content-length": HELLO_BYTES }, ["content-length", "0"])],
  ["§8.1.1: a content-length that is no number", headBut({ "content-length": "+10" })],
  ["§8.1.1: an empty content-length", headBut({ "content-length": "" })],
  ["§8.1.1: a content-length below zero", headBut({ "content-length": "-1" })],
  ["content-type twice, which gRPC would understand in two ways", headBut({}, ["content-type", "text/html"])],
])("a malformed head is refused, and nothing else is: %s", async (_what, fields) => {
  expect(await outcomeOf(door.address(), headers(1, fields))).toEqual([
    "RST_STREAM 1 PROTOCOL_ERROR",
    SERVED,
  ]);
});

test.each<readonly [what: string, fields: Fields]>([
  [
    "§8.2.1: values with blanks amid them, beyond ASCII, or empty",
    headBut({}, ["x-a", "a \t b"], ["x-b", "\u00e9\u00ff"], ["x-c", ""]),
  ],
  ["§8.2.1: all the signs that a name may have", headBut({}, ["!#$%&'*+-.^_`|~09az", "1"])],
  ["§8.2.2: no te", headBut({ te: undefined })],
  ["§8.2.3: several cookies", headBut({}, ["cookie", "a=1"], ["cookie", "b=2"])],
  ["§8.3.1: no :authority", headBut({ ":authority": undefined })],
  ["§8.3.1: pseudo-headers in another order", HEAD.toSpliced(0, 4, ...HEAD.slice(0, 4).toReversed())],
  ["§8.1.1: the right content-length", headBut({ "content-length": HELLO_BYTES })],
])("a call is answered with %s", async (_what, fields) => {
  expect(await outcomeOf(door.address(), headers(1, fields), HELLO)).toEqual([ANSWERED, SERVED]);
});

const OF_10 = headBut({ "content-length": HELLO_BYTES });

test.each<Case>([
  ["a byte too much", [headers(1, OF_10), data(1, Buffer.alloc(11), OVER)], [RESET, SERVED]],
  ["a byte too much, before its end", [headers(1, OF_10), data(1, Buffer.alloc(11))], [RESET, SERVED]],
  ["a byte too little", [headers(1, OF_10), data(1, Buffer.alloc(9), OVER)], [RESET, SERVED]],
  [
    "a byte too little, and trailers",
    [headers(1, OF_10), data(1, Buffer.alloc(9)), headers(1, [], TRAILERS)],
    [RESET, SERVED],
  ],
  ["no DATA at all", [headers(1, OF_10, TRAILERS)], [RESET, SERVED]],
  [
    "no DATA where none is told",
    [headers(1, headBut({ "content-length": "0" }), TRAILERS)],
    ["1 answered: denied", SERVED],
  ],
  [
    "all of it in two, then trailers",
    [
      headers(1, OF_10),
      data(1, HELLO.subarray(9, 12)),
      data(1, HELLO.subarray(12)),
      headers(1, [], TRAILERS),
    ],
    [ANSWERED, SERVED],
  ],
  [
    "all of it, padded",
    [headers(1, OF_10), padded(FRAME.DATA, 1, HELLO.subarray(9), 99, OVER)],
    [ANSWERED, SERVED],
  ],
])("§8.1.1: a body is as long as its content-length says: %s", async (_what, bytes, outcome) => {
  expect(await outcomeOf(door.address(), ...bytes)).toEqual(outcome);
});
