import fc from "fast-check";
import { expect, test } from "vitest";
import { integer, literal } from "../../test/support/hpack.ts";
import { CompressionError, createHpackDecoder } from "./hpack.ts";

/** Literals with and without indexing, and fields of the static table. */
const field = fc.oneof(
  fc
    .tuple(fc.constantFrom(0x40, 0, 0x10), fc.stringMatching(/^[a-z-]{1,20}$/), fc.nat(20_000))
    .map(([high, name, length]) => literal(high, [name, "v".repeat(length)])),
  fc.integer({ min: 0x81, max: 0x80 | 61 }).map((index) => Buffer.of(index)),
);

test("a block in any fragments has the same fields", () => {
  const places = fc.array(fc.nat(), { maxLength: 12 });
  fc.assert(
    fc.property(fc.array(field, { maxLength: 20 }), places, (fields, cuts) => {
      const block = Buffer.concat(fields);
      const ends = [...cuts.map((cut) => cut % (block.length + 1)).toSorted((a, b) => a - b), block.length];
      const [whole, cut] = [createHpackDecoder(), createHpackDecoder()];
      const [seen, seenOfWhole]: [unknown[], unknown[]] = [[], []];
      for (let blocks = 0; blocks < 2; blocks++) {
        whole.decode(block, (...field) => seenOfWhole.push(field));
        for (const [index, end] of ends.entries()) {
          const piece = block.subarray(ends[index - 1] ?? 0, end);
          cut.decode(piece, (...field) => seen.push(field), index === ends.length - 1);
        }
        expect(seen).toEqual(seenOfWhole);
      }
    }),
  );
});

test("a value of megabytes is discarded, and empties the table", () => {
  const decoder = createHpackDecoder();
  const kept = literal(0x40, ["x-kept", "value"]);
  decoder.decode(kept, () => undefined);
  decoder.decode(Buffer.of(0x80 | 62), (...field) => expect(field).toEqual(["x-kept", "value", 5]));
  const large = literal(0x40, ["x-large", "v".repeat(3_000_000)]);
  const seen: unknown[] = [];
  for (let at = 0; at < large.length; at += 16_384)
    decoder.decode(
      large.subarray(at, at + 16_384),
      (...field) => seen.push(field),
      at + 16_384 >= large.length,
    );
  expect(seen).toEqual([["x-large", "", 3_000_000]]);
  expect(() => decoder.decode(Buffer.of(0x80 | 62), () => undefined)).toThrow(CompressionError);
});

test("a block that ends within a discarded value is an error", () => {
  const large = literal(0x40, ["x-large", "v".repeat(100_000)]);
  expect(() => createHpackDecoder().decode(large.subarray(0, -1), () => undefined)).toThrow(CompressionError);
  const decoder = createHpackDecoder();
  decoder.decode(large.subarray(0, 50_000), () => undefined, false);
  expect(() => decoder.decode(large.subarray(50_000, -1), () => undefined, true)).toThrow(CompressionError);
});

test("a table size update may be in the fragment after an empty one, but not after a field", () => {
  const decoder = createHpackDecoder();
  decoder.decode(Buffer.alloc(0), () => undefined, false);
  decoder.decode(Buffer.of(0x20), () => undefined, false);
  const seen: string[] = [];
  decoder.decode(Buffer.of(0x82), (name, value) => seen.push(`${name} ${value}`), true);
  expect(seen).toEqual([":method GET"]);
  decoder.decode(Buffer.of(0x82), () => undefined, false);
  expect(() => decoder.decode(Buffer.of(0x20), () => undefined, true)).toThrow(CompressionError);
});

const ignore = () => undefined;
const LONGEST = 16 * 1024;

test("a value of 16 KiB is received, and one of a byte more is discarded, with its length", () => {
  const seen: unknown[] = [];
  const decoder = createHpackDecoder();
  for (const length of [LONGEST, LONGEST + 1])
    decoder.decode(literal(0, ["x", "v".repeat(length)]), (...field) => seen.push(field));
  expect(seen).toEqual([
    ["x", "v".repeat(LONGEST), LONGEST],
    ["x", "", LONGEST + 1],
  ]);
});

test("with a larger table, longer values are received: a discarded one would not fit into the table", () => {
  const seen: number[] = [];
  createHpackDecoder(8192).decode(literal(0, ["x", "v".repeat(32_768)]), (_name, value) =>
    seen.push(value.length),
  );
  expect(seen).toEqual([32_768]);
});

test("a discarded value empties the table only if its field would have entered the table", () => {
  const decoder = createHpackDecoder();
  decoder.decode(literal(0x40, ["x-kept", "value"]), ignore);
  decoder.decode(literal(0, ["x-large", "v".repeat(LONGEST + 1)]), ignore);
  const seen: unknown[] = [];
  decoder.decode(Buffer.of(0x80 | 62), (...field) => seen.push(field));
  expect(seen).toEqual([["x-kept", "value", 5]]);
});

test("a name of more than 16 KiB is an error, before it has arrived", () => {
  const name = Buffer.concat([Buffer.of(0), integer(0, 0x7f, LONGEST + 1)]);
  expect(() => createHpackDecoder().decode(name, ignore, false)).toThrow("the field name is too long");
  const longest = literal(0, ["n".repeat(LONGEST), "value"]);
  const seen: number[] = [];
  createHpackDecoder().decode(longest, (name) => seen.push(name.length));
  expect(seen).toEqual([LONGEST]);
});

test("a length of 256 MiB is accepted, and a larger one is an error", () => {
  const literalOf = (length: number) => Buffer.concat([Buffer.from([0, 1, 0x78]), integer(0, 0x7f, length)]);
  const seen: number[] = [];
  createHpackDecoder().decode(literalOf(2 ** 28), (_name, _value, bytes) => seen.push(bytes), false);
  expect(seen).toEqual([2 ** 28]);
  expect(() => createHpackDecoder().decode(literalOf(2 ** 28 + 1), ignore, false)).toThrow("too large");
});

test("a field as large as the table enters it, and one of a byte more empties it", () => {
  const decoder = createHpackDecoder(64);
  const at62 = () => decoder.decode(Buffer.of(0x80 | 62), ignore);
  decoder.decode(literal(0x40, ["name", "v".repeat(28)]), ignore);
  at62();
  decoder.decode(literal(0x40, ["name", "v".repeat(29)]), ignore);
  expect(at62).toThrow(CompressionError);
});

test("a fragment may end within a table size update", () => {
  const decoder = createHpackDecoder();
  decoder.decode(Buffer.of(0x3f), ignore, false);
  const seen: string[] = [];
  decoder.decode(Buffer.of(0x00, 0x82), (name) => seen.push(name), true);
  expect(seen).toEqual([":method"]);
});

test("a third table size update is an error, also if the first two are in an earlier fragment", () => {
  const decoder = createHpackDecoder();
  decoder.decode(Buffer.of(0x20, 0x20), ignore, false);
  expect(() => decoder.decode(Buffer.of(0x20, 0x82), ignore, true)).toThrow(CompressionError);
});

test("the block after one in fragments may begin with a table size update", () => {
  const decoder = createHpackDecoder();
  decoder.decode(Buffer.of(0x82), ignore, false);
  decoder.decode(Buffer.of(0x86), ignore, true);
  const seen: string[] = [];
  decoder.decode(Buffer.of(0x20, 0x82), (name) => seen.push(name), false);
  decoder.decode(Buffer.of(0x86), (name) => seen.push(name), true);
  decoder.decode(Buffer.of(0x20, 0x82), (name) => seen.push(name), true);
  expect(seen).toEqual([":method", ":scheme", ":method"]);
});

test("an invalid field is an error at once, in any fragment", () => {
  expect(() => createHpackDecoder().decode(Buffer.of(0x80), ignore, false)).toThrow("the index is 0");
});
