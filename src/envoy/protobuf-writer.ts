/**
 * Protobuf in strings of one character a byte: joining such strings joins messages, and V8 is quick at both joining
 * strings and writing them out.
 */
export type ByteString = string;

const VARINTS: readonly ByteString[] = Array.from({ length: 1 << 14 }, (_, value) =>
  value < 0x80 ? byte(value) : byte((value & 0x7f) | 0x80) + byte(value >>> 7),
);

/** A whole number from 0 and below 2^31. */
function varint(value: number): ByteString {
  return VARINTS[value] ?? byte((value & 0x7f) | 0x80) + varint(value >>> 7);
}

/** A message or text in a message. Field numbers, here and below, are from 1 to 15. */
export function field(number: number, bytes: ByteString): ByteString {
  return byte((number << 3) | 2) + varint(bytes.length) + bytes;
}

export function textField(number: number, text: string): ByteString {
  return field(number, utf8(text));
}

/** A whole number from 0 and below 2^31, an enum, or a bool. */
export function numberField(number: number, value: number): ByteString {
  return byte(number << 3) + varint(value);
}

const DOUBLE = Buffer.alloc(8);

export function doubleField(number: number, value: number): ByteString {
  DOUBLE.writeDoubleLE(value);
  return byte((number << 3) | 1) + DOUBLE.toString("latin1");
}

export function toBytes(bytes: ByteString): Buffer {
  return Buffer.from(bytes, "latin1");
}

function byte(value: number): ByteString {
  return String.fromCharCode(value);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what ASCII has.
const ASCII = /^[\x00-\x7f]*$/;

function utf8(text: string): ByteString {
  return ASCII.test(text) ? text : Buffer.from(text, "utf8").toString("latin1");
}
