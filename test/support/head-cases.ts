import { FLAG, FRAME } from "../../src/http2/frames.ts";
import type { CallCase } from "./call-cases.ts";
import { CHECK_PATH } from "./grpc-client.ts";
import type { Fields } from "./http2-frames.ts";
import { data, HEAD, headers, lastMessage, padded, SERVED } from "./http2-frames.ts";

export type HeadCase = readonly [what: string, fields: Fields];

const HELLO = lastMessage(1, "hello");
/** Bytes of the framed message. */
const HELLO_BYTES = "10";
const TRAILERS = FLAG.END_HEADERS | FLAG.END_STREAM;
const OVER = FLAG.END_STREAM;

/** The head of a Check with changed fields; `undefined` omits one. */
export function headWith(changes: Readonly<Record<string, string | undefined>>, ...more: Fields): Fields {
  const all = Object.entries({ ...Object.fromEntries(HEAD), ...changes });
  return [...all.flatMap(([name, value]): Fields => (value === undefined ? [] : [[name, value]])), ...more];
}

/** Malformed with any path. */
export const malformedHeads = (changes: Readonly<Record<string, string>>): readonly HeadCase[] => [
  ["§8.2.1: a name with a capital letter", headWith(changes, ["X-upper", "1"])],
  ["§8.2.1: a name with a space", headWith(changes, ["x blank", "1"])],
  ["§8.2.1: a name beyond ASCII", headWith(changes, ["x-\u00e9", "1"])],
  ["§8.2.1: a name with a colon", headWith(changes, ["x:y", "1"])],
  ["§8.2.1: an empty name", headWith(changes, ["", "1"])],
  [
    "§8.2.1: a content-type that ends with a space",
    headWith({ ...changes, "content-type": "application/grpc " }),
  ],
  ["§8.2.2: connection", headWith(changes, ["connection", "close"])],
  ["§8.2.2: proxy-connection", headWith(changes, ["proxy-connection", "close"])],
  ["§8.2.2: keep-alive", headWith(changes, ["keep-alive", "timeout=5"])],
  ["§8.2.2: transfer-encoding", headWith(changes, ["transfer-encoding", "chunked"])],
  ["§8.2.2: upgrade", headWith(changes, ["upgrade", "h2c"])],
  ["§8.2.2: te with more than trailers", headWith({ ...changes, te: "trailers, deflate" })],
  ["§8.3: the same pseudo-header twice", [[":method", "POST"], ...headWith(changes)]],
  [
    "§8.3: the same pseudo-header twice, with another value",
    [[":authority", "another"], ...headWith(changes)],
  ],
  ["§8.3.1: no :scheme", headWith({ ...changes, ":scheme": undefined })],
  ["§8.3.1: an empty :authority", headWith({ ...changes, ":authority": "" })],
  [
    "§8.1.1: content-length twice",
    headWith({ ...changes, "content-length": HELLO_BYTES }, ["content-length", "0"]),
  ],
  ["§8.1.1: a content-length that is not a number", headWith({ ...changes, "content-length": "+10" })],
  ["§8.1.1: an empty content-length", headWith({ ...changes, "content-length": "" })],
  ["§8.1.1: a negative content-length", headWith({ ...changes, "content-length": "-1" })],
  ["content-type twice, which has two readings", headWith(changes, ["content-type", "text/html"])],
  ["a head that is too large", headWith(changes, ...large(262_144))],
];

function large(bytes: number): Fields {
  return Array.from({ length: bytes / 2 ** 7 }, (_, index) => [`x-${index}`, "v".repeat(96)]);
}

/** Malformed because of the path, or without a path. */
export const MALFORMED_ANYWHERE: readonly HeadCase[] = [
  ["§8.2.1: a path with a line feed", headWith({ ":path": `${CHECK_PATH}\n` })],
  ["§8.3: a pseudo-header after a regular field", headWith({ ":path": undefined }, [":path", CHECK_PATH])],
  ["§8.3: an unknown pseudo-header", [[":protocol", "websocket"], ...HEAD]],
  ["§8.3: a pseudo-header of responses", [[":status", "200"], ...HEAD]],
  ["§8.3.1: a method that is no token", headWith({ ":method": "P ST" })],
  ["§8.5: a CONNECT with a path", headWith({ ":method": "CONNECT" })],
  ["§8.3.1: a path without a slash", headWith({ ":path": CHECK_PATH.slice(1) })],
  ["§8.3.1: a path with a space", headWith({ ":path": `${CHECK_PATH} HTTP/1.1` })],
  ["§8.3.1: a path with a control character", headWith({ ":path": `${CHECK_PATH}\x7f` })],
  ["§8.3.1: a path beyond ASCII", headWith({ ":path": `${CHECK_PATH}\u00e9` })],
  ["§8.3.1: a URI as path", headWith({ ":path": `http://latchkey${CHECK_PATH}` })],
  ["§8.3.1: no :method", headWith({ ":method": undefined })],
  ["§8.3.1: no :path", headWith({ ":path": undefined })],
  ["§8.3.1: an empty :path", headWith({ ":path": "" })],
  ["§8.3.1: an empty head", []],
];

export const VALID_HEADS: readonly HeadCase[] = [
  [
    "§8.2.1: values with spaces inside, beyond ASCII, or empty",
    headWith({}, ["x-a", "a \t b"], ["x-b", "\u00e9\u00ff"], ["x-c", ""]),
  ],
  [
    "a value that begins or ends with a space or a tab",
    headWith({}, ["x-a", "a "], ["x-b", "a\t"], ["x-c", " a"]),
  ],
  [
    "a value with a line feed, a carriage return, a NUL",
    headWith({}, ["x-a", "a\nb"], ["x-b", "\r"], ["x-c", "\0"]),
  ],
  ["§8.2.1: all characters that a name may have", headWith({}, ["!#$%&'*+-.^_`|~09az", "1"])],
  ["§8.2.2: no te", headWith({ te: undefined })],
  ["§8.2.3: several cookies", headWith({}, ["cookie", "a=1"], ["cookie", "b=2"])],
  ["§8.3.1: no :authority", headWith({ ":authority": undefined })],
  ["§8.3.1: pseudo-headers in another order", HEAD.toSpliced(0, 4, ...HEAD.slice(0, 4).toReversed())],
  ["§8.1.1: a correct content-length", headWith({ "content-length": HELLO_BYTES })],
];

const OF_10 = headWith({ "content-length": HELLO_BYTES });

/** Checks with a content-length, at a server that denies those whose body has another length. */
export const LENGTH_CASES: readonly CallCase[] = [
  ["a byte too many", [headers(1, OF_10), data(1, Buffer.alloc(11), OVER)], ["1 answered: denied", SERVED]],
  [
    "a byte too many, before END_STREAM",
    [headers(1, OF_10), data(1, Buffer.alloc(11))],
    ["1 answered: denied", SERVED],
  ],
  ["a byte too few", [headers(1, OF_10), data(1, Buffer.alloc(9), OVER)], ["1 answered: denied", SERVED]],
  [
    "a byte too few, and trailers",
    [headers(1, OF_10), data(1, Buffer.alloc(9)), headers(1, [], TRAILERS)],
    ["1 answered: denied", SERVED],
  ],
  ["no DATA at all", [headers(1, OF_10, TRAILERS)], ["1 answered: denied", SERVED]],
  [
    "no DATA, and content-length 0",
    [headers(1, headWith({ "content-length": "0" }), TRAILERS)],
    ["1 answered: denied", SERVED],
  ],
  [
    "all bytes in two frames, then trailers",
    [
      headers(1, OF_10),
      data(1, HELLO.subarray(9, 12)),
      data(1, HELLO.subarray(12)),
      headers(1, [], TRAILERS),
    ],
    ["1 answered: hello", SERVED],
  ],
  [
    "all bytes, padded",
    [headers(1, OF_10), padded(FRAME.DATA, 1, HELLO.subarray(9), 99, OVER)],
    ["1 answered: hello", SERVED],
  ],
];
