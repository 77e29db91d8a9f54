import { expect, test } from "vitest";
import { encodeHeaderBlock } from "./header-encoder.ts";
import { CompressionError, createHpackDecoder } from "./hpack.ts";

function decoded(block: Buffer): (readonly [name: string, value: string])[] {
  const fields: (readonly [string, string])[] = [];
  const decoder = createHpackDecoder();
  decoder.decode(block, (name, value) => fields.push([name, value]));
  // No field enters the table of the client.
  expect(() => decoder.decode(Buffer.of(0x80 | 62), () => undefined)).toThrow(CompressionError);
  return fields;
}

test("a block has its fields in their order", () => {
  const fields = [
    [":status", "404"],
    ["content-type", "application/grpc"],
    ["x-status", "200"],
    ["x-empty", ""],
    ["grpc-status", "200"],
  ] as const;
  expect(decoded(encodeHeaderBlock(fields))).toEqual(fields);
  expect(encodeHeaderBlock([])).toEqual(Buffer.alloc(0));
});

test("the statuses 200 and others are short: nearly every response has one", () => {
  expect(encodeHeaderBlock([[":status", "200"]])).toEqual(Buffer.of(0x88));
  expect(encodeHeaderBlock([[":status", "415"]])).toEqual(Buffer.from("\x08\x03415", "latin1"));
  expect(decoded(encodeHeaderBlock([[":status", "415"]]))).toEqual([[":status", "415"]]);
});

test("a name or a value may have 126 bytes, and no more", () => {
  const [longest, longer] = ["x".repeat(126), "x".repeat(127)];
  expect(decoded(encodeHeaderBlock([[longest, longest]]))).toEqual([[longest, longest]]);
  expect(() => encodeHeaderBlock([["x", longer]])).toThrow("a header of 127 bytes or more");
  expect(() => encodeHeaderBlock([[longer, ""]])).toThrow(RangeError);
});
