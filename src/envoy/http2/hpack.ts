import type { HeaderField } from "./hpack-tables.ts";
import { STATIC_TABLE } from "./hpack-tables.ts";
import { decodeHuffman } from "./huffman.ts";

/** A header block that is none (RFC 7541): the connection cannot go on, for the two sides' tables may differ. */
export class CompressionError extends Error {
  override readonly name = "CompressionError";
}

export interface HpackDecoder {
  /**
   * Reads one whole header block and calls `field` for each field in its order; names and values have one character a
   * byte. Throws CompressionError, and is of no use after that. A block of a request that is refused has to be read as
   * well. A byte of the block can stand for a field as large as the table: who keeps fields has to count their bytes.
   */
  decode(block: Buffer, field: (name: string, value: string) => void): void;
}

/** What a field counts in the table beyond its name and value (RFC 7541, section 4.1). */
const FIELD_OVERHEAD_BYTES = 32;
const MAX_INTEGER = 2 ** 28;
/** A peer may say the least and the last of the sizes that the table had since the block before (section 4.2). */
const MAX_SIZE_UPDATES = 2;

/** A place in a block, and the dynamic table: a ring, in which the newest field has the lowest index. */
interface State {
  at: number;
  readonly maxTableBytes: number;
  /** What the peer makes of it, which is at most that. */
  limitBytes: number;
  tableBytes: number;
  /** Its length is a power of two; a place that holds no field any more is undefined. */
  readonly ring: (HeaderField | undefined)[];
  newest: number;
  count: number;
}

/** `maxTableBytes` is what our SETTINGS_HEADER_TABLE_SIZE says; 4096 is what holds before a peer has read it. */
export function createHpackDecoder(maxTableBytes = 4096): HpackDecoder {
  const maxFields = Math.max(1, Math.floor(maxTableBytes / FIELD_OVERHEAD_BYTES));
  const state: State = {
    at: 0,
    maxTableBytes,
    limitBytes: maxTableBytes,
    tableBytes: 0,
    ring: new Array<undefined>(2 ** Math.ceil(Math.log2(maxFields))).fill(undefined),
    newest: 0,
    count: 0,
  };
  return { decode: (block, field) => decodeBlock(state, block, field) };
}

function decodeBlock(state: State, block: Buffer, field: (name: string, value: string) => void): void {
  state.at = 0;
  readSizeUpdates(state, block);
  while (state.at < block.length) {
    const first = block[state.at++] ?? 0;
    const { name, value } =
      first >= 0x80
        ? fieldAt(state, readInteger(state, block, first, 0x7f))
        : readLiteral(state, block, first);
    field(name, value);
  }
}

function readSizeUpdates(state: State, block: Buffer): void {
  for (let updates = 0; updates < MAX_SIZE_UPDATES; updates++) {
    const first = block[state.at] ?? 0;
    if (first >> 5 !== 1) return;
    state.at++;
    const limitBytes = readInteger(state, block, first, 0x1f);
    if (limitBytes > state.maxTableBytes) throw new CompressionError("a table that is larger than allowed");
    state.limitBytes = limitBytes;
    evictTo(state, limitBytes);
  }
}

/** A field that is not in a table, but perhaps its name is: of one that begins with less than 0x80. */
function readLiteral(state: State, block: Buffer, first: number): HeaderField {
  const indexed = first >= 0x40;
  if (!indexed && first >= 0x20)
    throw new CompressionError("a size of the table amid fields, or a third one");
  const index = readInteger(state, block, first, indexed ? 0x3f : 0x0f);
  const name = index === 0 ? readString(state, block) : fieldAt(state, index).name;
  const literal = { name, value: readString(state, block) };
  if (indexed) insert(state, literal);
  return literal;
}

function fieldAt(state: State, index: number): HeaderField {
  const age = index - STATIC_TABLE.length;
  const { ring } = state;
  if (age >= state.count) throw new CompressionError("an index that is beyond the table");
  const found = age < 0 ? STATIC_TABLE[index] : ring[(state.newest - age) & (ring.length - 1)];
  if (found === undefined) throw new CompressionError("an index of 0");
  return found;
}

/** The rest of an integer whose first byte has been read; it begins in the bits of `prefix` (section 5.1). */
function readInteger(state: State, block: Buffer, first: number, prefix: number): number {
  let value = first & prefix;
  if (value < prefix) return value;
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = byteAt(state, block);
    value += (byte & 0x7f) << shift;
    if (byte >= 0x80) continue;
    if (value > MAX_INTEGER) break;
    return value;
  }
  throw new CompressionError("an integer that is too large");
}

function readString(state: State, block: Buffer): string {
  const first = byteAt(state, block);
  const length = readInteger(state, block, first, 0x7f);
  const from = state.at;
  const to = from + length;
  if (to > block.length) throw new CompressionError("a string that is longer than its block");
  state.at = to;
  if (first < 0x80) return block.toString("latin1", from, to);
  const text = decodeHuffman(block, from, to);
  if (text === undefined) throw new CompressionError("a string that is not of the Huffman code");
  return text;
}

function byteAt(state: State, block: Buffer): number {
  const byte = block[state.at++];
  if (byte === undefined) throw new CompressionError("the block ends within a field");
  return byte;
}

/** One that is larger than the table empties it, and is not an error (section 4.4). */
function insert(state: State, literal: HeaderField): void {
  const bytes = bytesOf(literal);
  evictTo(state, Math.max(0, state.limitBytes - bytes));
  if (bytes > state.limitBytes) return;
  state.newest = (state.newest + 1) & (state.ring.length - 1);
  state.ring[state.newest] = literal;
  state.tableBytes += bytes;
  state.count++;
}

/** Drops the oldest fields; a place is cleared, lest a secret outlive its field. */
function evictTo(state: State, bytes: number): void {
  const { ring } = state;
  while (state.tableBytes > bytes) {
    const oldest = (state.newest - --state.count) & (ring.length - 1);
    const field = ring[oldest];
    if (field !== undefined) state.tableBytes -= bytesOf(field);
    ring[oldest] = undefined;
  }
}

function bytesOf(field: HeaderField): number {
  return field.name.length + field.value.length + FIELD_OVERHEAD_BYTES;
}
