import type { Fields } from "./http2-frames.ts";

/** Encodes an integer (RFC 7541 §5.1). `high` has the other bits of its first byte. */
export function integer(high: number, prefix: number, value: number): Buffer {
  if (value < prefix) return Buffer.of(high | value);
  const bytes = [high | prefix];
  let rest = value - prefix;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}

/** Encodes a literal field of any length without Huffman coding. `high` is 0x40 with indexing, and 0 or 0x10 without. */
export function literal(high: number, [name, value]: Fields[number]): Buffer {
  const strings = [name, value].flatMap((text) => [
    integer(0, 0x7f, text.length),
    Buffer.from(text, "latin1"),
  ]);
  return Buffer.concat([Buffer.of(high), ...strings]);
}

/** A header block of literals without indexing. */
export function literals(fields: Fields): Buffer {
  return Buffer.concat(fields.map((field) => literal(0, field)));
}
