/**
 * Encoded protobuf as a string with one character for each byte. Concatenating such strings concatenates messages, and V8 both
 * concatenates and writes strings fast.
 */
export type ByteString = string;

const VARINTS: readonly ByteString[] = Array.from({ length: 1 << 14 }, (_, value) =>
  value < 0x80 ? byte(value) : byte((value & 0x7f) | 0x80) + byte(value >>> 7),
);

/** A whole number from 0 and below 2^31. */
function varint(value: number): ByteString {
  return VARINTS[value] ?? byte((value & 0x7f) | 0x80) + varint(value >>> 7);
}

/** A length-delimited field. Field numbers, here and below, are from 1 to 15. */
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

export function doubleField(number: number, value: number): ByteString {
  return byte((number << 3) | 1) + doubleBytes(value);
}

const DOUBLE = Buffer.alloc(8);

export function doubleBytes(value: number): ByteString {
  DOUBLE.writeDoubleLE(value);
  return DOUBLE.toString("latin1");
}

/**
 * Speeds up repeated writing of the same message with another value. The bytes around the value depend on its length only, so
 * they are kept for each length. For two values of equal length, `write` must return strings that differ in the value only.
 */
export function createTemplate(write: (value: string) => ByteString): (value: string) => ByteString {
  const byLength: (readonly [before: ByteString, after: ByteString])[] = [];
  return (value) => {
    const { length } = value;
    if (length === 0 || length > MAX_LENGTH || !ASCII.test(value)) return write(value);
    const [before, after] = byLength[length] ?? splitAt(write, length);
    byLength[length] ??= [before, after];
    return before + value + after;
  };
}

const MAX_LENGTH = 256;

function splitAt(write: (value: string) => ByteString, length: number): readonly [ByteString, ByteString] {
  const [one, other] = [write("a".repeat(length)), write("b".repeat(length))];
  let start = 0;
  while (one[start] === other[start]) start++;
  return [flatten(one.slice(0, start)), flatten(one.slice(start + length))];
}

/** V8 keeps concatenated strings as trees, and would flatten the tree again for each string that contains it. */
export function flatten(bytes: ByteString): ByteString {
  return toBytes(bytes).toString("latin1");
}

export function toBytes(bytes: ByteString): Buffer {
  return Buffer.from(bytes, "latin1");
}

function byte(value: number): ByteString {
  return String.fromCharCode(value);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII includes the control characters.
const ASCII = /^[\x00-\x7f]*$/;

function utf8(text: string): ByteString {
  return ASCII.test(text) ? text : Buffer.from(text, "utf8").toString("latin1");
}
