import { encodeFrame, encodeUint32s, FLAG, FRAME, SETTING } from "../../src/http2/frames.ts";
import { encodeHeaderBlock } from "../../src/http2/header-encoder.ts";
import { integer, literal } from "../support/hpack.ts";
import { checkOf, data, HEAD, headers, lastMessage, OPENING, settings } from "../support/http2-frames.ts";
import type { Conversation } from "./conversation.ts";

const WHOLE = FLAG.END_HEADERS | FLAG.END_STREAM;
const HELLO = lastMessage(1, "hello");
const BLOCK = encodeHeaderBlock(HEAD);
const FIRST_DYNAMIC = 62;
const DEFAULT_TABLE_BYTES = 4096;

function vector(name: string, ...bytes: readonly Buffer[]): Conversation {
  return { name, bytes: Buffer.concat([OPENING, ...bytes]) };
}

/** A complete request with this header block after its head. */
function request(streamId: number, ...parts: readonly Uint8Array[]): Buffer {
  return encodeFrame(FRAME.HEADERS, WHOLE, streamId, Buffer.concat([BLOCK, ...parts]));
}

function tableSize(bytes: number): Buffer {
  return integer(0x20, 0x1f, bytes);
}

function indexed(index: number): Buffer {
  return integer(0x80, 0x7f, index);
}

function windowUpdate(streamId: number, bytes: number): Buffer {
  return encodeFrame(FRAME.WINDOW_UPDATE, 0, streamId, encodeUint32s(bytes));
}

const ADDED = literal(0x40, ["x-a", "1"]);
const LARGE = literal(0x40, ["x-large", "v".repeat(4000)]);
const TABLE_SIZE_FIRST = (...sizes: readonly number[]) =>
  encodeFrame(FRAME.HEADERS, WHOLE, 1, Buffer.concat([...sizes.map(tableSize), BLOCK]));

/** RFC 7541: the state of the decoder over several blocks. */
const HPACK: readonly Conversation[] = [
  vector("§2.3: an entry of an earlier block", request(1, ADDED), request(3, indexed(FIRST_DYNAMIC))),
  vector("§2.3: an entry of the same block", request(1, ADDED, indexed(FIRST_DYNAMIC))),
  vector("§2.3.3: an index after the last entry", request(1, ADDED, indexed(FIRST_DYNAMIC + 1))),
  vector("§4.4: an entry that evicts another", request(1, ADDED, LARGE, indexed(FIRST_DYNAMIC + 1))),
  vector("§4.4: the entry that has evicted another", request(1, ADDED, LARGE, indexed(FIRST_DYNAMIC))),
  vector(
    "§4.4: an entry larger than the table empties it",
    request(1, ADDED, literal(0x40, ["x-huge", "v".repeat(DEFAULT_TABLE_BYTES)]), indexed(FIRST_DYNAMIC)),
  ),
  vector("§4.2: a table of no bytes", TABLE_SIZE_FIRST(0)),
  vector("§4.2: a table of no bytes and then the default", TABLE_SIZE_FIRST(0, DEFAULT_TABLE_BYTES)),
  vector("§4.2: three changes of the table", TABLE_SIZE_FIRST(0, 100, DEFAULT_TABLE_BYTES)),
  vector("§4.2: a table larger than the default", TABLE_SIZE_FIRST(DEFAULT_TABLE_BYTES + 1)),
  vector(
    "§4.2: an entry is evicted by a table of no bytes",
    request(1, ADDED),
    encodeFrame(FRAME.HEADERS, WHOLE, 3, Buffer.concat([tableSize(0), BLOCK, indexed(FIRST_DYNAMIC)])),
  ),
  vector("§5.1: an integer with zeros that it does not need", request(1, Buffer.of(0x7f, 0x80, 0x00))),
  vector("§6.1: the last entry of the static table", request(1, indexed(61))),
  vector(
    "§6.2.2: a literal without indexing is not added",
    request(1, literal(0, ["x-a", "1"]), indexed(62)),
  ),
  vector("§6.2.3: a literal that is never indexed", request(1, literal(0x10, ["x-a", "1"]))),
  vector("§5.2: an empty Huffman string as value", request(1, Buffer.of(0, 1, 0x78, 0x80))),
  vector("§5.2: a Huffman value with its padding", request(1, Buffer.of(0, 1, 0x78, 0x81, 0x1f))),
  vector(
    "§5.2: a Huffman value with eight bits of padding",
    request(1, Buffer.of(0, 1, 0x78, 0x82, 0x1f, 0xff)),
  ),
].map(({ name, bytes }) => ({ name: `RFC 7541 ${name}`, bytes }));

const NO_WINDOW = settings([SETTING.INITIAL_WINDOW_SIZE, 0]);

/** Flow control (RFC 9113 §6.9), heads (§8), and several streams, in the manner of h2spec. */
const FRAMES: readonly Conversation[] = [
  { ...vector("§6.9.2: no window for a response", NO_WINDOW, checkOf(1, "hello")), withholdsWindow: true },
  vector("§6.9.2: a window that opens by SETTINGS", NO_WINDOW, checkOf(1, "hello"), settings([4, 2])),
  vector("§6.9.2: a window that opens by WINDOW_UPDATE", NO_WINDOW, checkOf(1, "hello"), windowUpdate(1, 2)),
  {
    ...vector("§6.9.2: a window that opens too little", NO_WINDOW, checkOf(1, "hello"), windowUpdate(1, 1)),
    withholdsWindow: true,
  },
  vector("§6.9.1: a window as large as the response", settings([4, 2]), checkOf(1, "hello")),
  vector(
    "§5.1.1: three interleaved requests",
    ...[1, 3, 5].map((id) => headers(id)),
    ...[5, 1, 3].map((id) => lastMessage(id, "hello")),
  ),
  vector("§8.1: an empty DATA that ends the request", headers(1), data(1, Buffer.alloc(0), FLAG.END_STREAM)),
  vector("§8.1: DATA after trailers", headers(1), headers(1, [], WHOLE), HELLO),
  vector(
    "§8.1: two trailers",
    headers(1),
    headers(1, [["x-a", "1"]], WHOLE),
    headers(1, [["x-a", "1"]], WHOLE),
  ),
  vector(
    "§8.3.1: a CONNECT",
    headers(
      1,
      [
        [":method", "CONNECT"],
        [":authority", "latchkey:443"],
      ],
      WHOLE,
    ),
  ),
  vector(
    "§8.3.1: OPTIONS *",
    headers(1, HEAD.with(0, [":method", "OPTIONS"]).with(2, [":path", "*"]), WHOLE),
  ),
  vector("§8.3.1: a path with a quotation mark", headers(1, HEAD.with(2, [":path", '/"']), WHOLE)),
  vector("§8.3.1: a path with a fragment", headers(1, HEAD.with(2, [":path", "/#a"]), WHOLE)),
  vector("§8.3.1: an asterisk as path", headers(1, HEAD.with(2, [":path", "*"]), WHOLE)),
  vector("§8.3.1: another scheme", headers(1, HEAD.with(1, [":scheme", "ftp"]), WHOLE)),
  vector("§8.3.1: a host that differs from :authority", headers(1, [...HEAD, ["host", "another"]], WHOLE)),
  vector(
    "§8.3.1: user information in :authority",
    headers(1, HEAD.with(3, [":authority", "a@latchkey"]), WHOLE),
  ),
  vector(
    "§6.4: RST_STREAM twice",
    headers(1),
    ...[8, 8].map((code) => encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(code))),
  ),
  vector(
    "§5.1: WINDOW_UPDATE after RST_STREAM",
    headers(1),
    encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(8)),
    windowUpdate(1, 1),
  ),
  vector(
    "§5.1: DATA after RST_STREAM",
    headers(1),
    encodeFrame(FRAME.RST_STREAM, 0, 1, encodeUint32s(8)),
    HELLO,
  ),
  vector("§6.5.3: ten SETTINGS", ...Array.from({ length: 10 }, () => settings([4, 65_535]))),
  vector("§6.8: GOAWAY with an error", encodeFrame(FRAME.GOAWAY, 0, 0, encodeUint32s(0, 2))),
  vector("§6.8: GOAWAY with debug data", encodeFrame(FRAME.GOAWAY, 0, 0, encodeUint32s(0, 0, 1))),
];

/** Our own vectors, beside the tables of the raw-frame tests. */
export const VECTORS: readonly Conversation[] = [...HPACK, ...FRAMES];
