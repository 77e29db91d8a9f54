import { expect, test } from "vitest";
import { echoDoor } from "../../test/support/echo-door.ts";
import { CHECK_PATH } from "../../test/support/grpc-client.ts";
import type { Fields } from "../../test/support/http2-frames.ts";
import {
  data,
  HEAD,
  headers,
  inPieces,
  lastMessage,
  outcomeOf,
  padded,
  SERVED,
} from "../../test/support/http2-frames.ts";
import { FLAG, FRAME } from "./frames.ts";
import { headerBlock } from "./header-encoder.ts";

const door = echoDoor();
const ANSWERED = "1 answered: hello";
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

const OTHER_PATH = { ":path": "/other" };

/** Whatever its path is. */
const MALFORMED = (changes: Readonly<Record<string, string>>): readonly (readonly [string, Fields])[] => [
  ["§8.2.1: a name with a capital letter", headBut(changes, ["X-upper", "1"])],
  ["§8.2.1: a name with a blank", headBut(changes, ["x blank", "1"])],
  ["§8.2.1: a name beyond ASCII", headBut(changes, ["x-\u00e9", "1"])],
  ["§8.2.1: a name with a colon", headBut(changes, ["x:y", "1"])],
  ["§8.2.1: no name", headBut(changes, ["", "1"])],
  [
    "§8.2.1: a content-type that ends with a blank",
    headBut({ ...changes, "content-type": "application/grpc " }),
  ],
  ["§8.2.2: connection", headBut(changes, ["connection", "close"])],
  ["§8.2.2: proxy-connection", headBut(changes, ["proxy-connection", "close"])],
  ["§8.2.2: keep-alive", headBut(changes, ["keep-alive", "timeout=5"])],
  ["§8.2.2: transfer-encoding", headBut(changes, ["transfer-encoding", "chunked"])],
  ["§8.2.2: upgrade", headBut(changes, ["upgrade", "h2c"])],
  ["§8.2.2: te with more than trailers", headBut({ ...changes, te: "trailers, deflate" })],
  ["§8.3: the same pseudo-header twice", [[":method", "POST"], ...headBut(changes)]],
  [
    "§8.3: the same pseudo-header twice, with another value",
    [[":authority", "another"], ...headBut(changes)],
  ],
  ["§8.3.1: no :scheme", headBut({ ...changes, ":scheme": undefined })],
  ["§8.3.1: an empty :authority", headBut({ ...changes, ":authority": "" })],
  [
    "§8.1.1: content-length twice",
    headBut({ ...changes, "content-length": HELLO_BYTES }, ["content-length", "0"]),
  ],
  ["§8.1.1: a content-length that is no number", headBut({ ...changes, "content-length": "+10" })],
  ["§8.1.1: an empty content-length", headBut({ ...changes, "content-length": "" })],
  ["§8.1.1: a content-length below zero", headBut({ ...changes, "content-length": "-1" })],
  [
    "content-type twice, which gRPC would understand in two ways",
    headBut(changes, ["content-type", "text/html"]),
  ],
  ["of more bytes than are taken", headBut(changes, ...large(262_144))],
];

function large(bytes: number): Fields {
  return Array.from({ length: bytes / 2 ** 7 }, (_, index) => [`x-${index}`, "v".repeat(96)]);
}

test.each(MALFORMED({}))(
  "a Check whose head is malformed is denied by a CheckResponse: %s",
  async (_what, fields) => {
    const cuts = Array.from(
      { length: Math.floor(headerBlock(fields).length / 16_000) },
      (_, index) => (index + 1) * 16_000,
    );
    expect(await outcomeOf(door.address(), inPieces(1, headerBlock(fields), cuts), HELLO)).toEqual([
      "1 answered: denied",
      SERVED,
    ]);
  },
);

test.each([
  ...MALFORMED(OTHER_PATH),
  ["§8.2.1: a path with a line feed", headBut({ ":path": `${CHECK_PATH}\n` })] as const,
  [
    "§8.3: a pseudo-header behind another field",
    headBut({ ":path": undefined }, [":path", CHECK_PATH]),
  ] as const,
  ["§8.3: a pseudo-header that there is not", [[":protocol", "websocket"], ...HEAD]] as const,
  ["§8.3: a pseudo-header of answers", [[":status", "200"], ...HEAD]] as const,
  ["§8.3.1: no :method", headBut({ ":method": undefined })] as const,
  ["§8.3.1: no :path", headBut({ ":path": undefined })] as const,
  ["§8.3.1: an empty :path", headBut({ ":path": "" })] as const,
  ["§8.3.1: an empty head", []] as const,
])("a malformed head of another call is reset, and nothing else is: %s", async (_what, fields) => {
  const cuts = Array.from(
    { length: Math.floor(headerBlock(fields).length / 16_000) },
    (_, index) => (index + 1) * 16_000,
  );
  expect(await outcomeOf(door.address(), inPieces(1, headerBlock(fields), cuts))).toEqual([
    `RST_STREAM 1 ${cuts.length === 0 ? "PROTOCOL_ERROR" : "ENHANCE_YOUR_CALM"}`,
    SERVED,
  ]);
});

test.each<readonly [what: string, fields: Fields]>([
  [
    "§8.2.1: values with blanks amid them, beyond ASCII, or empty",
    headBut({}, ["x-a", "a \t b"], ["x-b", "\u00e9\u00ff"], ["x-c", ""]),
  ],
  [
    "a value that ends with a blank, or a tab, or begins with one",
    headBut({}, ["x-a", "a "], ["x-b", "a\t"], ["x-c", " a"]),
  ],
  [
    "a value with a line feed, a carriage return, a NUL",
    headBut({}, ["x-a", "a\nb"], ["x-b", "\r"], ["x-c", "\0"]),
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
  ["a byte too much", [headers(1, OF_10), data(1, Buffer.alloc(11), OVER)], ["1 answered: denied", SERVED]],
  [
    "a byte too much, before its end",
    [headers(1, OF_10), data(1, Buffer.alloc(11))],
    ["1 answered: denied", SERVED],
  ],
  ["a byte too little", [headers(1, OF_10), data(1, Buffer.alloc(9), OVER)], ["1 answered: denied", SERVED]],
  [
    "a byte too little, and trailers",
    [headers(1, OF_10), data(1, Buffer.alloc(9)), headers(1, [], TRAILERS)],
    ["1 answered: denied", SERVED],
  ],
  ["no DATA at all", [headers(1, OF_10, TRAILERS)], ["1 answered: denied", SERVED]],
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
])(
  "§8.1.1: a Check's body is as long as its content-length says, or denied: %s",
  async (_what, bytes, outcome) => {
    expect(await outcomeOf(door.address(), ...bytes)).toEqual(outcome);
  },
);

test("§8.1.1: another call is reset when its body is longer than its content-length says", async () => {
  const head = headBut({ ":path": "/grpc.health.v1.Health/Check", "content-length": "10" });
  expect(await outcomeOf(door.address(), headers(1, head), data(1, Buffer.alloc(11)))).toEqual([
    "RST_STREAM 1 PROTOCOL_ERROR",
    SERVED,
  ]);
});
