import type { DynamicTable } from "./hpack-dynamic-table.ts";
import { createDynamicTable, evictTo, insertField } from "./hpack-dynamic-table.ts";
import type { HeaderField } from "./hpack-tables.ts";
import { STATIC_TABLE } from "./hpack-tables.ts";
import { decodeHuffman } from "./huffman.ts";
import { keptCopy } from "./kept-bytes.ts";

/** The bytes are not a header block (RFC 7541). The connection cannot continue, because the two sides' tables may differ. */
export class CompressionError extends Error {
  override readonly name = "CompressionError";
}

/**
 * Receives one field. Names and values have one character for each byte. A value of more than 16 KiB on the wire is discarded:
 * `value` is then empty, and `valueBytes` is its length on the wire.
 */
export type OnField = (name: string, value: string, valueBytes: number) => void;

export interface HpackDecoder {
  /**
   * Decodes a header block, or the next fragment of one, and calls `onField` for each field in its order. Between fragments it
   * keeps an incomplete field only: at most some 33 KiB. After it has thrown a CompressionError, it must not be used again. The
   * block of a request that is denied must be decoded as well, to keep the table in sync. One byte of the block can stand for
   * a field as large as the table, so a caller that keeps fields must count their bytes.
   */
  decode(fragment: Buffer, onField: OnField, isLast?: boolean): void;
}

/** A longer value on the wire is discarded, so that a header block of megabytes needs no memory. */
const MAX_VALUE_BYTES = 16 * 1024;
/** A discarded value must be larger than the table. A Huffman-coded character has at most 30 bits, or four bytes. */
const VALUE_BYTES_PER_TABLE_BYTE = 4;

const MAX_INTEGER = 2 ** 28;
/** A peer sends the lowest and the last of the table sizes since the previous block (section 4.2). */
const MAX_SIZE_UPDATES = 2;

/** Thrown if the block ends too early. In a fragment that is not the last, decoding continues with the next fragment. */
const TRUNCATED = new CompressionError("the block ends within a field");

/** A position in a block, and the dynamic table. */
interface State {
  readonly table: DynamicTable;
  at: number;
  /** The start of the field that is being decoded. */
  fieldStart: number;
  /** The bytes of a field whose end is in the next fragment. */
  rest: Buffer;
  /** Bytes of a discarded value in the next fragments. */
  toSkip: number;
  /** The block has begun in an earlier fragment. */
  isOpen: boolean;
  readonly maxTableBytes: number;
  readonly maxValueBytes: number;
}

const NO_BYTES: Buffer = Buffer.alloc(0);

/** @param maxTableBytes our SETTINGS_HEADER_TABLE_SIZE, whose default is 4096 */
export function createHpackDecoder(maxTableBytes = 4096): HpackDecoder {
  const state: State = {
    table: createDynamicTable(maxTableBytes),
    at: 0,
    fieldStart: 0,
    rest: NO_BYTES,
    toSkip: 0,
    isOpen: false,
    maxTableBytes,
    maxValueBytes: Math.max(MAX_VALUE_BYTES, VALUE_BYTES_PER_TABLE_BYTE * maxTableBytes),
  };
  return {
    decode(fragment, onField, isLast = true) {
      if (isLast && !state.isOpen && state.rest.length === 0) decodeBlock(state, fragment, onField);
      else decodeFragment(state, fragment, onField, isLast);
    },
  };
}

/** Decodes a block in one fragment, as nearly all are. */
function decodeBlock(state: State, block: Buffer, onField: OnField): void {
  state.at = 0;
  readSizeUpdates(state, block);
  decodeFields(state, block, onField);
  if (state.toSkip > 0) throw TRUNCATED;
}

function decodeFields(state: State, block: Buffer, onField: OnField): void {
  while (state.at < block.length) {
    state.fieldStart = state.at;
    const first = block[state.at++] ?? 0;
    if (first >= 0x80) {
      const { name, value } = lookUp(state, readInteger(state, block, first, 0x7f));
      onField(name, value, value.length);
    } else readLiteral(state, block, first, onField);
  }
}

function decodeFragment(state: State, fragment: Buffer, onField: OnField, isLast: boolean): void {
  const skipped = Math.min(state.toSkip, fragment.length);
  state.toSkip -= skipped;
  const block = state.rest.length === 0 ? fragment.subarray(skipped) : Buffer.concat([state.rest, fragment]);
  state.rest = NO_BYTES;
  state.at = state.fieldStart = 0;
  try {
    if (!state.isOpen) readSizeUpdates(state, block);
    // The next fragment may still begin with a table size update.
    if (state.at < block.length) state.isOpen = true;
    decodeFields(state, block, onField);
    if (!state.isOpen && !isLast) state.rest = keptCopy(block);
    if (isLast && state.toSkip > 0) throw TRUNCATED;
  } catch (error) {
    if (error !== TRUNCATED || isLast) throw error;
    state.rest = keptCopy(block.subarray(state.fieldStart));
  }
  if (isLast) state.isOpen = false;
}

function readSizeUpdates(state: State, block: Buffer): void {
  for (let updates = 0; updates < MAX_SIZE_UPDATES; updates++) {
    const first = block[state.at] ?? 0;
    if (first >> 5 !== 1) return;
    state.at++;
    const limitBytes = readInteger(state, block, first, 0x1f);
    if (limitBytes > state.maxTableBytes) throw new CompressionError("the table size exceeds the maximum");
    state.table.limitBytes = limitBytes;
    evictTo(state.table, limitBytes);
  }
}

/** Reads a literal field, whose name may be in a table (section 6.2). Its first byte is less than 0x80. */
function readLiteral(state: State, block: Buffer, first: number, onField: OnField): void {
  const isIndexed = first >= 0x40;
  if (!isIndexed && first >= 0x20)
    throw new CompressionError("a table size update after a field, or a third one");
  const index = readInteger(state, block, first, isIndexed ? 0x3f : 0x0f);
  const name = index === 0 ? readName(state, block) : lookUp(state, index).name;
  const start = byteAt(state, block);
  const length = readInteger(state, block, start, 0x7f);
  if (length <= state.maxValueBytes) {
    const value = readString(state, block, start >= 0x80, length);
    if (isIndexed) insertField(state.table, { name, value });
    onField(name, value, value.length);
    return;
  }
  const present = Math.min(length, block.length - state.at);
  state.at += present;
  state.toSkip = length - present;
  // The value is larger than the table, so it empties the table (section 4.4).
  if (isIndexed) evictTo(state.table, 0);
  onField(name, "", length);
}

/** Envoy's clients do not choose field names, so a name that is too long is an attack. */
function readName(state: State, block: Buffer): string {
  const start = byteAt(state, block);
  const length = readInteger(state, block, start, 0x7f);
  if (length > state.maxValueBytes) throw new CompressionError("the field name is too long");
  return readString(state, block, start >= 0x80, length);
}

/** The field at an index of the static table, or of the dynamic table behind it (section 2.3.3). */
function lookUp({ table }: State, index: number): HeaderField {
  const age = index - STATIC_TABLE.length;
  const { ring } = table;
  if (age >= table.count) throw new CompressionError("the index is beyond the table");
  const found = age < 0 ? STATIC_TABLE[index] : ring[(table.newest - age) & (ring.length - 1)];
  if (found === undefined) throw new CompressionError("the index is 0");
  return found;
}

/** Reads an integer whose first byte has been read. `prefix` is the mask of its bits in that byte (section 5.1). */
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
  throw new CompressionError("the integer is too large");
}

function readString(state: State, block: Buffer, isHuffman: boolean, length: number): string {
  const from = state.at;
  const to = from + length;
  if (to > block.length) throw TRUNCATED;
  state.at = to;
  if (!isHuffman) return block.toString("latin1", from, to);
  const text = decodeHuffman(block, from, to);
  if (text === undefined) throw new CompressionError("the Huffman code of a string is invalid");
  return text;
}

function byteAt(state: State, block: Buffer): number {
  const byte = block[state.at++];
  if (byte === undefined) throw TRUNCATED;
  return byte;
}
