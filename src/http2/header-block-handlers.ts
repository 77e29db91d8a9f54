import type { Connection } from "./connection.ts";
import type { ErrorCode, Frame } from "./frames.ts";
import { contentOf, ERROR_CODE, FLAG } from "./frames.ts";
import { CompressionError } from "./hpack.ts";
import { onTrailers, openStream } from "./stream-handlers.ts";

/**
 * Compressed bytes of one header block: with more the connection ends. Envoy cannot send as much. A client's headers are at
 * most 8 MiB (`max_request_headers_kb`), and Envoy's HTTP/2 library sends no block of more than 32 MiB. A block is decoded
 * frame by frame, so a large one needs no memory.
 */
const MAX_BLOCK_BYTES = 64 * 1024 * 1024;
/** Frames that a block may come in (CVE-2024-27316), and those of a large one: Envoy fills them. */
const MAX_BLOCK_FRAMES = 16;
const MIN_FRAME_BYTES = 4096;
const PRIORITY_BYTES = 5;

export function onHeaders(connection: Connection, frame: Frame): ErrorCode | undefined {
  const { streamId, flags, bytes } = frame;
  if ((streamId & 1) === 0) return ERROR_CODE.PROTOCOL_ERROR;
  const content = contentOf(frame, (flags & FLAG.PRIORITY) === 0 ? 0 : PRIORITY_BYTES);
  if (typeof content === "number") return content;
  const piece = bytes.subarray(content.from, content.to);
  const isEndStream = (flags & FLAG.END_STREAM) !== 0;
  const isLast = (flags & FLAG.END_HEADERS) !== 0;
  const why = decode(connection, piece, isLast);
  if (why !== undefined) return why;
  if (isLast) return onHeaderBlock(connection, streamId, isEndStream);
  connection.block = { streamId, isEndStream, bytes: piece.length, frames: 1 };
  return undefined;
}

export function onContinuation(
  connection: Connection,
  { flags, bytes, from, to }: Frame,
): ErrorCode | undefined {
  const { block } = connection;
  if (block === undefined) return ERROR_CODE.PROTOCOL_ERROR;
  block.bytes += to - from;
  block.frames++;
  if (block.bytes > MAX_BLOCK_BYTES || block.frames > MAX_BLOCK_FRAMES + block.bytes / MIN_FRAME_BYTES)
    return ERROR_CODE.ENHANCE_YOUR_CALM;
  const isLast = (flags & FLAG.END_HEADERS) !== 0;
  const why = decode(connection, bytes.subarray(from, to), isLast);
  if (why !== undefined || !isLast) return why;
  connection.block = undefined;
  return onHeaderBlock(connection, block.streamId, block.isEndStream);
}

/** Every block is decoded, whatever becomes of its call: the two sides' tables must stay the same. */
function decode({ hpack, field }: Connection, fragment: Buffer, isLast: boolean): ErrorCode | undefined {
  try {
    hpack.decode(fragment, field, isLast);
    return undefined;
  } catch (error) {
    if (error instanceof CompressionError) return ERROR_CODE.COMPRESSION_ERROR;
    throw error;
  }
}

/** A whole header block: the head of a new call, or trailers. */
function onHeaderBlock(
  connection: Connection,
  streamId: number,
  isEndStream: boolean,
): ErrorCode | undefined {
  return streamId > connection.highestOpenedStreamId
    ? openStream(connection, streamId, isEndStream)
    : onTrailers(connection, streamId, isEndStream);
}
