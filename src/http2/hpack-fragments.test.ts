import fc from "fast-check";
import { expect, test } from "vitest";
import { literal } from "../../test/support/hpack.ts";
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
