/** A place in a message. Whatever is not well-formed throws a RangeError. */
export interface ProtobufReader {
  readonly bytes: Buffer;
  /** The whole, each byte as one character: what a field says is a piece of it, which costs little. */
  readonly characters: string;
  at: number;
}

export function openReader(message: Uint8Array): ProtobufReader {
  const bytes = Buffer.isBuffer(message)
    ? message
    : Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  return { bytes, characters: bytes.toString("latin1"), at: 0 };
}

/** A tag or a length: at most 32 bits, and usually one byte. */
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

/** Where the field that begins here ends. `end` is where the message does that it stands in. */
function readFieldEnd(reader: ProtobufReader, end: number): number {
  const length = readNumber(reader);
  if (reader.at + length > end) throw new RangeError("a field that is longer than its message");
  return reader.at + length;
}

/** Text; U+FFFD stands for what is not UTF-8. */
export function readText(reader: ProtobufReader, end: number): string {
  const text = readByteString(reader, end);
  return BEYOND_ASCII.test(text) ? reader.bytes.toString("utf8", reader.at - text.length, reader.at) : text;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what ASCII has.
const BEYOND_ASCII = /[^\x00-\x7f]/;

/** Bytes, each as one character. */
export function readByteString(reader: ProtobufReader, end: number): string {
  const to = readFieldEnd(reader, end);
  const from = reader.at;
  reader.at = to;
  return reader.characters.slice(from, to);
}

/** Passes over the field of this tag: one that we do not use, or do not know. */
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
      throw new RangeError("a group, or a wire type that there is not");
  }
  if (reader.at > end) throw new RangeError("the message ends within a field");
}

function skipVarint(reader: ProtobufReader, end: number): void {
  for (let length = 0; length < 10 && reader.at < end; length++) {
    if ((reader.bytes[reader.at++] ?? 0x80) < 0x80) return;
  }
  throw new RangeError("a number that does not end");
}

/** Takes a field that it knows, of which the tag has been read. False: it does not, and the field is passed over. */
export type TakeField<Target> = (reader: ProtobufReader, tag: number, end: number, target: Target) => boolean;

/** Reads a message that ends there into the target. */
export function readMessage<Target>(
  reader: ProtobufReader,
  end: number,
  target: Target,
  take: TakeField<Target>,
): void {
  while (reader.at < end) {
    const tag = readNumber(reader);
    if (!take(reader, tag, end, target)) skipField(reader, tag, end);
  }
  if (reader.at !== end) throw new RangeError("the message ends within a field");
}

/** The same for a message that is a field of another one. */
export function readInner<Target>(
  reader: ProtobufReader,
  end: number,
  target: Target,
  take: TakeField<Target>,
): true {
  readMessage(reader, readFieldEnd(reader, end), target, take);
  return true;
}

/** An entry of a map, or Envoy's HeaderValue, which differs in that it may have raw bytes. */
interface ProtobufEntry {
  readonly key: string;
  readonly value: string;
  /** Each byte as one character. */
  readonly raw: string;
}

/** Of all messages these come most often: they are read in a loop of their own. */
export function readEntry(reader: ProtobufReader, end: number): ProtobufEntry {
  const inner = readFieldEnd(reader, end);
  let [key, value, raw] = ["", "", ""];
  while (reader.at < inner) {
    const tag = readNumber(reader);
    if (tag === 0x0a) key = readText(reader, inner);
    else if (tag === 0x12) value = readText(reader, inner);
    else if (tag === 0x1a) raw = readByteString(reader, inner);
    else skipField(reader, tag, inner);
  }
  if (reader.at !== inner) throw new RangeError("the message ends within a field");
  return { key, value, raw };
}
