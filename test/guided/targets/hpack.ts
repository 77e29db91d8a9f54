import assert from "node:assert/strict";
import { CompressionError, createHpackDecoder } from "../../../src/http2/hpack.ts";
import type { Target } from "../target.ts";

const MAX_TABLE_BYTES = 200;
const END = 0xff;

/** `name: value`, or the length of a value that was discarded. */
type Field = string;

interface Decoded {
  readonly blocks: readonly (readonly Field[])[];
  readonly isError: boolean;
}

/**
 * The input is a list of header blocks, each after its length. Any fragments of a block give its fields, and the same table for the
 * blocks after it. Other blocks cause a CompressionError. No field can be larger than the table that it came from, or its bytes.
 */
function run(input: Buffer): void {
  const blocks = blocksOf(input.subarray(1));
  const whole = decodeAll(blocks, Number.POSITIVE_INFINITY);
  const inFragments = decodeAll(blocks, 1 + ((input[0] ?? 0) & 15));
  assert.deepEqual(inFragments, whole, "fragments");
}

function blocksOf(bytes: Buffer): Buffer[] {
  const blocks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes[at] ?? 0;
    const end = length === END ? bytes.length : at + 1 + length;
    blocks.push(bytes.subarray(at + 1, end));
    at = end;
  }
  return blocks;
}

function decodeAll(blocks: readonly Buffer[], fragmentBytes: number): Decoded {
  const decoder = createHpackDecoder(MAX_TABLE_BYTES);
  const decoded: Field[][] = [];
  try {
    for (const block of blocks) {
      const fields: Field[] = [];
      const onField = (name: string, value: string, valueBytes: number) => {
        // Huffman codes have at least five bits. An entry of the table has at most its bytes.
        const maxLength = Math.max(MAX_TABLE_BYTES, (8 / 5) * block.length, 60);
        assert.ok(name.length <= maxLength && value.length <= maxLength, "the size of a field is bounded");
        fields.push(`${name}: ${value} ${valueBytes}`);
      };
      decodeOne(decoder, block, fragmentBytes, onField);
      assert.ok(fields.length <= block.length, "a field has a byte");
      decoded.push(fields);
    }
    return { blocks: decoded, isError: false };
  } catch (error) {
    if (!(error instanceof CompressionError)) throw error;
    return { blocks: decoded, isError: true };
  }
}

type Decoder = ReturnType<typeof createHpackDecoder>;

function decodeOne(
  decoder: Decoder,
  block: Buffer,
  fragmentBytes: number,
  onField: Parameters<Decoder["decode"]>[1],
): void {
  if (block.length === 0) decoder.decode(block, onField);
  for (let at = 0; at < block.length; at += fragmentBytes)
    decoder.decode(block.subarray(at, at + fragmentBytes), onField, at + fragmentBytes >= block.length);
}

export const target: Target = {
  run,
  files: ["http2/hpack.ts", "http2/hpack-dynamic-table.ts", "http2/huffman.ts"],
  maxBytes: 400,
  stepsPerByte: 300,
  runs: 25_000,
};
