import { createHash } from "node:crypto";
import { once } from "node:events";
import type { ClientHttp2Session } from "node:http2";
import { connect, sensitiveHeaders } from "node:http2";
import type { Socket } from "node:net";
import { createServer } from "node:net";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { integer, literal } from "../../test/support/hpack.ts";
import type { HpackDecoder } from "./hpack.ts";
import { CompressionError, createHpackDecoder } from "./hpack.ts";
import { EOS, HUFFMAN_BITS } from "./hpack-tables.ts";
import { decodeHuffman } from "./huffman.ts";

type Field = readonly [name: string, value: string];

function decoded(decoder: HpackDecoder, block: Buffer | string): Field[] {
  const fields: Field[] = [];
  const bytes = typeof block === "string" ? Buffer.from(block.replaceAll(" ", ""), "hex") : block;
  decoder.decode(bytes, (name, value) => fields.push([name, value]));
  return fields;
}

/** The fields of its dynamic table, the newest first: looks up indices until one is invalid. */
function tableOf(decoder: HpackDecoder): Field[] {
  const table: Field[] = [];
  for (let index = 62; ; index++) {
    try {
      table.push(...decoded(decoder, Buffer.of(0x80 | index)));
    } catch {
      return table;
    }
  }
}

/** The code of each byte as a string of bits. */
function huffmanCodes(): string[] {
  const codes: string[] = [];
  let code = 0;
  for (let bits = 1; bits <= 30; bits++) {
    code *= 2;
    for (let symbol = 0; symbol <= EOS; symbol++) {
      if (HUFFMAN_BITS[symbol] === bits) codes[symbol] = (code++).toString(2).padStart(bits, "0");
    }
  }
  return codes;
}

const CODES = huffmanCodes();

function huffman(bytes: Uint8Array): Buffer {
  const bits = Array.from(bytes, (byte) => CODES[byte]).join("");
  const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, "1");
  return Buffer.from(Array.from(padded.match(/.{8}/g) ?? [], (byte) => Number.parseInt(byte, 2)));
}

test.each<[example: string, block: string, field: Field, table: Field[]]>([
  [
    "C.2.1",
    "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
    ["custom-key", "custom-header"],
    [["custom-key", "custom-header"]],
  ],
  ["C.2.2", "040c 2f73 616d 706c 652f 7061 7468", [":path", "/sample/path"], []],
  ["C.2.3", "1008 7061 7373 776f 7264 0673 6563 7265 74", ["password", "secret"], []],
  ["C.2.4", "82", [":method", "GET"], []],
])("RFC 7541, %s: a field of each kind", (_example, block, field, table) => {
  const decoder = createHpackDecoder();
  expect(decoded(decoder, block)).toEqual([field]);
  expect(tableOf(decoder)).toEqual(table);
});

const AUTHORITY: Field = [":authority", "www.example.com"];
const NO_CACHE: Field = ["cache-control", "no-cache"];
const CUSTOM: Field = ["custom-key", "custom-value"];
const GET: Field = [":method", "GET"];
const HTTP: Field = [":scheme", "http"];
const REQUESTS = [
  { fields: [GET, HTTP, [":path", "/"], AUTHORITY], table: [AUTHORITY] },
  { fields: [GET, HTTP, [":path", "/"], AUTHORITY, NO_CACHE], table: [NO_CACHE, AUTHORITY] },
  {
    fields: [GET, [":scheme", "https"], [":path", "/index.html"], AUTHORITY, CUSTOM],
    table: [CUSTOM, NO_CACHE, AUTHORITY],
  },
];

const PRIVATE: Field = ["cache-control", "private"];
const DATE: Field = ["date", "Mon, 21 Oct 2013 20:13:21 GMT"];
const LATER: Field = ["date", "Mon, 21 Oct 2013 20:13:22 GMT"];
const LOCATION: Field = ["location", "https://www.example.com"];
const GZIP: Field = ["content-encoding", "gzip"];
const COOKIE: Field = ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"];
const RESPONSES = [
  {
    fields: [[":status", "302"], PRIVATE, DATE, LOCATION],
    table: [LOCATION, DATE, PRIVATE, [":status", "302"]],
  },
  {
    fields: [[":status", "307"], PRIVATE, DATE, LOCATION],
    table: [[":status", "307"], LOCATION, DATE, PRIVATE],
  },
  { fields: [[":status", "200"], PRIVATE, LATER, LOCATION, GZIP, COOKIE], table: [COOKIE, GZIP, LATER] },
];

test.each([
  {
    example: "C.3, requests",
    of: REQUESTS,
    maxTableBytes: 4096,
    blocks: [
      "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "8286 84be 5808 6e6f 2d63 6163 6865",
      "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ],
  },
  {
    example: "C.4, requests with Huffman coding",
    of: REQUESTS,
    maxTableBytes: 4096,
    blocks: [
      "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
      "8286 84be 5886 a8eb 1064 9cbf",
      "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ],
  },
  {
    example: "C.5, responses, with evictions from the table",
    of: RESPONSES,
    maxTableBytes: 256,
    blocks: [
      "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120" +
        "474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
      "4803 3330 37c1 c0bf",
      "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738" +
        "666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33" +
        "3630 303b 2076 6572 7369 6f6e 3d31",
    ],
  },
  {
    example: "C.6, the same with Huffman coding",
    of: RESPONSES,
    maxTableBytes: 256,
    blocks: [
      "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718" +
        "63c7 8f0b 97c8 e9ae 82ae 43d3",
      "4883 640e ffc1 c0bf",
      "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7" +
        "b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ],
  },
])("RFC 7541, $example: every block, and the table after it", ({ of, maxTableBytes, blocks }) => {
  const decoder = createHpackDecoder(maxTableBytes);
  const seen = blocks.map((block) => ({ fields: decoded(decoder, block), table: tableOf(decoder) }));
  expect(seen).toEqual(of);
});

test.each<[title: string, block: string, message: string]>([
  ["an index of 0", "80", "the index is 0"],
  ["an index beyond the tables", "be", "the index is beyond the table"],
  ["a name index beyond the tables, in a field to be indexed", "7e 0161", "the index is beyond the table"],
  [
    "a name index beyond the tables, in a field not to be indexed",
    "0f2f 0161",
    "the index is beyond the table",
  ],
  ["a table size above the maximum", "3fe21f", "the table size exceeds the maximum"],
  ["a table size update after a field", "82 20", "a table size update after a field, or a third one"],
  ["a third table size update", "20 20 20", "a table size update after a field, or a third one"],
  ["an integer of more than five bytes", "ff8080808000", "the integer is too large"],
  ["an integer beyond 2^28", "ffffffff7f", "the integer is too large"],
  ["a string's length beyond 2^28", "007fffffff7f", "the integer is too large"],
  ["an end within an index", "ff", "the block ends within a field"],
  ["an end within a longer index", "ff80", "the block ends within a field"],
  ["an end within a table size update", "3f", "the block ends within a field"],
  ["an end before a name", "40", "the block ends within a field"],
  ["an end before a value", "40 0161", "the block ends within a field"],
  ["an end before the value of a name that is indexed", "41", "the block ends within a field"],
  ["an end within a string's length", "00 7f", "the block ends within a field"],
  ["a name that runs past the block", "40 0461 0162", "the block ends within a field"],
  ["a value that runs past the block", "40 0161 0262", "the block ends within a field"],
  ["a Huffman string that runs past the block", "40 0161 82ff", "the block ends within a field"],
  ["EOS in a string", "00 84ffffffff 00", "the Huffman code of a string is invalid"],
  ["EOS in a string with a valid end", "00 8607fffffff81f 00", "the Huffman code of a string is invalid"],
  ["padding of eight bits", "00 81ff 00", "the Huffman code of a string is invalid"],
  [
    "padding of eight bits and more after a symbol",
    "00 8207ff 00",
    "the Huffman code of a string is invalid",
  ],
  ["padding of zeros", "00 8100 00", "the Huffman code of a string is invalid"],
  ["padding that has a zero", "00 8106 00", "the Huffman code of a string is invalid"],
  ["an end within a symbol", "00 82fffe 00", "the Huffman code of a string is invalid"],
])("%s is an error", (_title, block, message) => {
  expect(() => decoded(createHpackDecoder(), block)).toThrow(new CompressionError(message));
});

test.each<[title: string, block: string, fields: Field[]]>([
  ["no fields", "", []],
  ["table size updates only, up to the maximum", "20 3fe11f", []],
  ["empty strings, also with Huffman coding", "00 80 00", [["", ""]]],
  [
    "padding of seven bits",
    `00 8a${huffman(Buffer.from("0".repeat(16))).toString("hex")} 00`,
    [["0".repeat(16), ""]],
  ],
  ["an integer of five bytes instead of two", `00 00 7f80808000${"61".repeat(127)}`, [["", "a".repeat(127)]]],
  ["a name of the static table, never to be indexed", "1f08 0162", [["authorization", "b"]]],
])("a valid block: %s", (_title, block, fields) => {
  expect(decoded(createHpackDecoder(), block)).toEqual(fields);
});

test("the Huffman code of every byte is that of RFC 7541, appendix B", () => {
  const every = huffman(Uint8Array.from({ length: 256 }, (_, byte) => byte));
  // The digest of the output of another implementation, which has a table of the codes.
  expect(createHash("sha256").update(every).digest("hex")).toBe(
    "612dcf67552ffb6affc04a2ab910a4d347e4ad06e4a43544871071d831a2c076",
  );
});

test("every string can be decoded from the Huffman code, with any bytes around it", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 3 }), (bytes, around) => {
      const encoded = huffman(bytes);
      const text = decodeHuffman(
        Buffer.concat([around, encoded, around]),
        around.length,
        around.length + encoded.length,
      );
      expect(text).toBe(Buffer.from(bytes).toString("latin1"));
    }),
  );
});

test.each([2500, 2559, 2560, 2561, 4096, 20_000])(
  "a string of %d characters can be decoded from the Huffman code",
  (length) => {
    const text = "012aceiost".repeat(Math.ceil(length / 10)).slice(0, length);
    const encoded = huffman(Buffer.from(text));
    expect(decodeHuffman(encoded, 0, encoded.length) === text).toBe(true);
  },
);

test("any bytes are a valid block or cause a CompressionError", () => {
  const likely = fc
    .uint8Array({ maxLength: 12 })
    .map((bytes) => Buffer.concat([Buffer.of(0x40, 0x01, 0x61), bytes]));
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.uint8Array({ maxLength: 100 }), likely)), (blocks) => {
      const decoder = createHpackDecoder(100);
      for (const block of blocks) {
        try {
          decoded(decoder, Buffer.from(block));
        } catch (error) {
          expect(error).toBeInstanceOf(CompressionError);
        }
      }
    }),
    { numRuns: 2000 },
  );
});

/** Eviction as in RFC 7541, section 4. */
function evicted(table: readonly Field[], limitBytes: number): Field[] {
  let bytes = 0;
  return table.filter(([name, value]) => {
    bytes += name.length + value.length + 32;
    return bytes <= limitBytes;
  });
}

test("the dynamic table has the fields of a plain list, for any sizes and fields", () => {
  const maxTableBytes = fc.integer({ min: 0, max: 600 });
  const anyField = fc.tuple(
    fc.string({ unit: "binary-ascii", maxLength: 6 }),
    fc.stringMatching(/^[a-c]{0,150}$/),
  );
  const steps = fc.array(fc.oneof({ weight: 9, arbitrary: anyField }, maxTableBytes), {
    minLength: 1,
    maxLength: 60,
  });
  fc.assert(
    fc.property(maxTableBytes, steps, (max, taken) => {
      const decoder = createHpackDecoder(max);
      let limitBytes = max;
      let table: Field[] = [];
      for (const step of taken) {
        if (typeof step === "number") {
          limitBytes = Math.min(step, max);
          decoded(decoder, integer(0x20, 0x1f, limitBytes));
        } else {
          expect(decoded(decoder, literal(0x40, step))).toEqual([step]);
          table.unshift(step);
        }
        table = evicted(table, limitBytes);
        expect(tableOf(decoder)).toEqual(table);
      }
    }),
  );
});

const SETTINGS_FRAME = 4;
const HEADERS_FRAME = 1;
const END_HEADERS = 0x4;
const PRIORITY = 0x20;
const PREFACE_BYTES = 24;

/** The header blocks that a client sent (RFC 9113), each in one frame. */
function blocksOf(sent: Buffer): Buffer[] {
  const blocks: Buffer[] = [];
  let at = PREFACE_BYTES;
  while (at + 9 <= sent.length) {
    const [type, flags] = [sent[at + 3], sent[at + 4] ?? 0];
    const from = at + 9;
    at = from + sent.readUIntBE(at, 3);
    if (type !== HEADERS_FRAME || at > sent.length) continue;
    expect(flags & ~(1 | PRIORITY)).toBe(END_HEADERS);
    blocks.push(sent.subarray(from + ((flags & PRIORITY) === 0 ? 0 : 5), at));
  }
  return blocks;
}

/** Node's client after it has received these settings, and everything that it sends to a server that never responds. */
async function connected(
  headerTableBytes: number,
): Promise<{ client: ClientHttp2Session; sent: () => Buffer }> {
  const chunks: Buffer[] = [];
  const settings = Buffer.alloc(9 + 12);
  settings.writeUIntBE(12, 0, 3);
  settings[3] = SETTINGS_FRAME;
  for (const [at, [id, value]] of [[1, headerTableBytes] as const, [3, 10_000] as const].entries()) {
    settings.writeUInt16BE(id, 9 + at * 6);
    settings.writeUInt32BE(value, 11 + at * 6);
  }
  const server = createServer((socket: Socket) => {
    socket.on("data", (chunk: Buffer) => chunks.push(chunk)).on("error", () => undefined);
    socket.write(settings);
  }).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const client = connect(`http://127.0.0.1:${address.port}`).on("error", () => undefined);
  onTestFinished(() => client.destroy());
  await once(client, "remoteSettings");
  return { client, sent: () => Buffer.concat(chunks) };
}

const anyValue = fc.oneof(
  fc.constantFrom("application/grpc", "trailers", "a-value-that-comes-again", "x".repeat(300)),
  fc.stringMatching(/^[!-~]{1,60}$/),
  fc.stringMatching(/^[!-~\x80-\xff]{1,30}$/),
);
const anyName = fc.oneof(
  fc.constantFrom("content-type", "user-agent", "x-request-id"),
  fc.stringMatching(/^x-[a-z]{1,8}$/),
);
const anyHeaders = fc.record({
  path: fc.constantFrom("/", "/envoy.service.auth.v3.Authorization/Check", "/another"),
  headers: fc.uniqueArray(fc.tuple(anyName, anyValue), { maxLength: 12, selector: ([name]) => name }),
  secret: fc.option(anyValue),
});

test.each([0, 64, 256, 4096, 16_384])(
  "the requests of Node's client can be decoded with a table of %d bytes",
  async (headerTableBytes) => {
    const { client, sent } = await connected(headerTableBytes);
    const requests = fc.sample(anyHeaders, { numRuns: 400, seed: headerTableBytes });
    const expected = requests.map(({ path, headers, secret }) => {
      const all: Field[] = [...headers, ...(secret === null ? [] : [["authorization", secret] as const])];
      const pseudo = { ":method": "POST", ":path": path, ":scheme": "http", ":authority": "latchkey" };
      client
        .request({ ...pseudo, ...Object.fromEntries(all), [sensitiveHeaders]: ["authorization"] })
        .on("error", () => undefined);
      return [...Object.entries(pseudo), ...all];
    });
    await expect.poll(() => blocksOf(sent()).length).toBe(expected.length);
    const decoder = createHpackDecoder(headerTableBytes);
    const seen = blocksOf(sent()).map((block) => decoded(decoder, block));
    expect(seen.map((fields) => fields.toSorted())).toEqual(expected.map((fields) => fields.toSorted()));
  },
);
