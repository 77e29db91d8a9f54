/** A position in a message. All functions throw a RangeError if the message is malformed. */
export interface ProtobufReader {
  readonly bytes: Buffer;
  /** The message with one character for each byte: a field is a cheap slice of it. */
  readonly characters: string;
  at: number;
}

export function openReader(message: Uint8Array): ProtobufReader {
  const bytes = Buffer.isBuffer(message)
    ? message
    : Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  return { bytes, characters: bytes.toString("latin1"), at: 0 };
}

/** Reads a tag or a length: at most 32 bits, and usually one byte. */
function readNumber(reader: ProtobufReader): number {
  const first = reader.bytes[reader.at] ?? 0x80;
  if (first >= 0x80) return readLongNumber(reader);
  reader.at++;
  return first;
}

function readLongNumber(reader: ProtobufReader): number {
  const { bytes } = reader;
  let value = 0;
  for (let factor = 1; factor <= 2 ** 28; factor *= 128) {
    const byte = bytes[reader.at++];
    if (byte === undefined) throw new RangeError("the message ends within a number");
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return value;
  }
  throw new RangeError("a number of more than 32 bits");
}

/** Reads the length of a field, and returns the position of its end. `end` is the end of the message around it. */
function readFieldEnd(reader: ProtobufReader, end: number): number {
  const length = readNumber(reader);
  if (reader.at + length > end) throw new RangeError("a field is longer than its message");
  return reader.at + length;
}

/** Reads text. Invalid UTF-8 becomes U+FFFD. */
export function readText(reader: ProtobufReader, end: number): string {
  const text = readByteString(reader, end);
  return BEYOND_ASCII.test(text) ? reader.bytes.toString("utf8", reader.at - text.length, reader.at) : text;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII includes the control characters.
const BEYOND_ASCII = /[^\x00-\x7f]/;

/** Reads bytes as one character each. */
export function readByteString(reader: ProtobufReader, end: number): string {
  const to = readFieldEnd(reader, end);
  const from = reader.at;
  reader.at = to;
  return reader.characters.slice(from, to);
}

/** Reads an unsigned number of up to 64 bits. Above 2^53 - 1 it is that. */
export function readUnsigned(reader: ProtobufReader, end: number): number {
  let value = 0;
  let factor = 1;
  for (let length = 0; length < 10 && reader.at < end; length++, factor *= 128) {
    const byte = reader.bytes[reader.at++] ?? 0x80;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return Math.min(value, Number.MAX_SAFE_INTEGER);
  }
  throw new RangeError("an unterminated number");
}

/** Skips a field that is unused or unknown. */
function skipField(reader: ProtobufReader, tag: number, end: number): void {
  if (tag < 8) throw new RangeError("a field without a number");
  switch (tag & 7) {
    case 0:
      skipVarint(reader, end);
      return;
    case 1:
      reader.at += 8;
      break;
    case 2:
      reader.at = readFieldEnd(reader, end);
      return;
    case 5:
      reader.at += 4;
      break;
    default:
      throw new RangeError("a group, or an unknown wire type");
  }
  if (reader.at > end) throw new RangeError("the message ends within a field");
}

function skipVarint(reader: ProtobufReader, end: number): void {
  for (let length = 0; length < 10 && reader.at < end; length++) {
    if ((reader.bytes[reader.at++] ?? 0x80) < 0x80) return;
  }
  throw new RangeError("an unterminated number");
}

/** Reads a field whose tag has been read. Returns false for an unknown field, which is then skipped. */
export type ReadField<Target> = (reader: ProtobufReader, tag: number, end: number, target: Target) => boolean;

/** Reads a message up to `end` into the target. */
export function readMessage<Target>(
  reader: ProtobufReader,
  end: number,
  target: Target,
  readField: ReadField<Target>,
): void {
  while (reader.at < end) {
    const tag = readNumber(reader);
    if (!readField(reader, tag, end, target)) skipField(reader, tag, end);
  }
  if (reader.at !== end) throw new RangeError("the message ends within a field");
}

/** Reads a message that is a field of another one. */
export function readInner<Target>(
  reader: ProtobufReader,
  end: number,
  target: Target,
  readField: ReadField<Target>,
): true {
  readMessage(reader, readFieldEnd(reader, end), target, readField);
  return true;
}

/** An entry of a map with a key (1) and a value (2), or a message that has raw bytes (3) as well. */
interface ProtobufEntry {
  readonly key: string;
  readonly value: string;
  /** One character for each byte. */
  readonly raw: string;
}

/** Reads an entry in a loop of its own, because these are the most frequent messages. */
export function readEntry(reader: ProtobufReader, end: number): ProtobufEntry {
  const entryEnd = readFieldEnd(reader, end);
  let [key, value, raw] = ["", "", ""];
  while (reader.at < entryEnd) {
    const tag = readNumber(reader);
    if (tag === 0x0a) key = readText(reader, entryEnd);
    else if (tag === 0x12) value = readText(reader, entryEnd);
    else if (tag === 0x1a) raw = readByteString(reader, entryEnd);
    else skipField(reader, tag, entryEnd);
  }
  if (reader.at !== entryEnd) throw new RangeError("the message ends within a field");
  return { key, value, raw };
}
