import type { HeaderField } from "./hpack-tables.ts";
import { STATIC_TABLE } from "./hpack-tables.ts";
import { decodeHuffman } from "./huffman.ts";

/** The bytes are not a header block (RFC 7541). The connection cannot continue, because the two sides' tables may differ. */
export class CompressionError extends Error {
  override readonly name = "CompressionError";
}

/**
 * Receives one field. Names and values have one character a byte. A value of more than 16 KiB on the wire is
 * not kept: `value` is then empty, and `valueBytes` says how long it was there.
 */
export type OnField = (name: string, value: string, valueBytes: number) => void;

export interface HpackDecoder {
  /**
   * Decodes a header block, or the next fragment of one, and calls `field` for each field in its order. Between fragments it
   * keeps the field that is cut off, and nothing else: at most some 33 KiB. Throws CompressionError, and is of no use after
   * that. The block of a request that is denied must be decoded as well, to keep the table in sync. A byte of the block can
   * stand for a field as large as the table: a caller that keeps fields has to count their bytes.
   */
  decode(fragment: Buffer, field: OnField, isLast?: boolean): void;
}

/** A longer value on the wire is not kept. A header block of megabytes thus needs no memory. */
const MAX_VALUE_BYTES = 16 * 1024;
/** What is not kept must be larger than the table: a character has at most 30 bits in the Huffman code. */
const VALUE_BYTES_PER_TABLE_BYTE = 4;

/** What a field counts in the table beyond its name and value (RFC 7541, section 4.1). */
const FIELD_OVERHEAD_BYTES = 32;
const MAX_INTEGER = 2 ** 28;
/** A peer may say the least and the last of the sizes that the table had since the block before (section 4.2). */
const MAX_SIZE_UPDATES = 2;

/** Thrown where the block ends too early: in a fragment that is not the last one, the next one continues there. */
const CUT_OFF = new CompressionError("the block ends within a field");

/** A place in a block, and the dynamic table: a ring, in which the newest field has the lowest index. */
interface State {
  at: number;
  /** Where the field begins that is being decoded. */
  fieldAt: number;
  /** The start of a field whose end is in the next fragment. */
  rest: Buffer;
  /** Bytes of a long value that are still to come. */
  toSkip: number;
  /** The block has begun in an earlier fragment. */
  isOpen: boolean;
  readonly maxTableBytes: number;
  readonly maxValueBytes: number;
  /** What the peer makes of it, which is at most that. */
  limitBytes: number;
  tableBytes: number;
  /** Its length is a power of two; a place that holds no field any more is undefined. */
  readonly ring: (HeaderField | undefined)[];
  newest: number;
  count: number;
}

const NOTHING: Buffer = Buffer.alloc(0);

/** `maxTableBytes` is what our SETTINGS_HEADER_TABLE_SIZE says; 4096 applies before a peer has read it. */
export function createHpackDecoder(maxTableBytes = 4096): HpackDecoder {
  const maxFields = Math.max(1, Math.floor(maxTableBytes / FIELD_OVERHEAD_BYTES));
  const state: State = {
    at: 0,
    fieldAt: 0,
    rest: NOTHING,
    toSkip: 0,
    isOpen: false,
    maxTableBytes,
    maxValueBytes: Math.max(MAX_VALUE_BYTES, VALUE_BYTES_PER_TABLE_BYTE * maxTableBytes),
    limitBytes: maxTableBytes,
    tableBytes: 0,
    ring: new Array<undefined>(2 ** Math.ceil(Math.log2(maxFields))).fill(undefined),
    newest: 0,
    count: 0,
  };
  return {
    decode(fragment, field, isLast = true) {
      if (isLast && !state.isOpen && state.rest.length === 0) decodeBlock(state, fragment, field);
      else decodeFragment(state, fragment, field, isLast);
    },
  };
}

/** A whole block, as nearly all are. */
function decodeBlock(state: State, block: Buffer, field: OnField): void {
  state.at = 0;
  readSizeUpdates(state, block);
  decodeFields(state, block, field);
  if (state.toSkip > 0) throw CUT_OFF;
}

function decodeFields(state: State, block: Buffer, field: OnField): void {
  while (state.at < block.length) {
    state.fieldAt = state.at;
    const first = block[state.at++] ?? 0;
    if (first >= 0x80) {
      const { name, value } = fieldAt(state, readInteger(state, block, first, 0x7f));
      field(name, value, value.length);
    } else readLiteral(state, block, first, field);
  }
}

function decodeFragment(state: State, fragment: Buffer, field: OnField, isLast: boolean): void {
  const skipped = Math.min(state.toSkip, fragment.length);
  state.toSkip -= skipped;
  const block = state.rest.length === 0 ? fragment.subarray(skipped) : Buffer.concat([state.rest, fragment]);
  state.rest = NOTHING;
  state.at = state.fieldAt = 0;
  try {
    if (!state.isOpen) readSizeUpdates(state, block);
    // A size of the table may still follow at the start of the next fragment.
    if (state.at < block.length) state.isOpen = true;
    decodeFields(state, block, field);
    if (!state.isOpen && !isLast) state.rest = Buffer.from(block);
    if (isLast && state.toSkip > 0) throw CUT_OFF;
  } catch (error) {
    if (error !== CUT_OFF || isLast) throw error;
    state.rest = Buffer.from(block.subarray(state.fieldAt));
  }
  if (isLast) state.isOpen = false;
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
function readLiteral(state: State, block: Buffer, first: number, field: OnField): void {
  const indexed = first >= 0x40;
  if (!indexed && first >= 0x20)
    throw new CompressionError("a size of the table amid fields, or a third one");
  const index = readInteger(state, block, first, indexed ? 0x3f : 0x0f);
  const name = index === 0 ? readName(state, block) : fieldAt(state, index).name;
  const start = byteAt(state, block);
  const length = readInteger(state, block, start, 0x7f);
  if (length <= state.maxValueBytes) {
    const value = readString(state, block, start >= 0x80, length);
    if (indexed) insert(state, { name, value });
    field(name, value, value.length);
    return;
  }
  const present = Math.min(length, block.length - state.at);
  state.at += present;
  state.toSkip = length - present;
  // It is larger than the table, which it empties (section 4.4).
  if (indexed) evictTo(state, 0);
  field(name, "", length);
}

/** No client of Envoy chooses the name of a field: one that is as long as this is an attack. */
function readName(state: State, block: Buffer): string {
  const start = byteAt(state, block);
  const length = readInteger(state, block, start, 0x7f);
  if (length > state.maxValueBytes) throw new CompressionError("a field name that is too long");
  return readString(state, block, start >= 0x80, length);
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

function readString(state: State, block: Buffer, isHuffman: boolean, length: number): string {
  const from = state.at;
  const to = from + length;
  if (to > block.length) throw CUT_OFF;
  state.at = to;
  if (!isHuffman) return block.toString("latin1", from, to);
  const text = decodeHuffman(block, from, to);
  if (text === undefined) throw new CompressionError("a string that is not of the Huffman code");
  return text;
}

function byteAt(state: State, block: Buffer): number {
  const byte = block[state.at++];
  if (byte === undefined) throw CUT_OFF;
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
