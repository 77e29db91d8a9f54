import type { Connection } from "./connection-state.ts";
import type { ErrorCode, Frame } from "./frames.ts";
import { contentOf, ERROR_CODE, FLAG } from "./frames.ts";
import { CompressionError } from "./hpack.ts";
import { resetValidator } from "./request-head.ts";
import { onTrailers, openStream } from "./stream-handlers.ts";

/**
 * Compressed bytes of one header block. A longer block ends the connection. Envoy never sends one: it accepts client headers
 * of at most 8 MiB (`max_request_headers_kb`), and its HTTP/2 library sends no block of more than 32 MiB. A block is decoded
 * frame by frame, so a large one needs no memory.
 */
const MAX_BLOCK_BYTES = 64 * 1024 * 1024;
/** Maximum number of frames in a small block (CVE-2024-27316). */
const MAX_BLOCK_FRAMES = 16;
/** Average size that the frames of a large block must have. Envoy sends full frames. */
const MIN_FRAME_BYTES = 4096;
const PRIORITY_BYTES = 5;

export function onHeaders(connection: Connection, frame: Frame): ErrorCode | undefined {
  const { streamId, flags, bytes } = frame;
  if ((streamId & 1) === 0) return ERROR_CODE.PROTOCOL_ERROR;
  const content = contentOf(frame, (flags & FLAG.PRIORITY) === 0 ? 0 : PRIORITY_BYTES);
  if (typeof content === "number") return content;
  const fragment = bytes.subarray(content.from, content.to);
  const isEndStream = (flags & FLAG.END_STREAM) !== 0;
  const isLast = (flags & FLAG.END_HEADERS) !== 0;
  const code = decode(connection, fragment, isLast);
  if (code !== undefined) return code;
  if (isLast) return onHeaderBlock(connection, streamId, isEndStream);
  connection.headerBlock = { streamId, isEndStream, bytes: fragment.length, frames: 1 };
  return undefined;
}

export function onContinuation(
  connection: Connection,
  { flags, bytes, from, to }: Frame,
): ErrorCode | undefined {
  const { headerBlock } = connection;
  if (headerBlock === undefined) return ERROR_CODE.PROTOCOL_ERROR;
  headerBlock.bytes += to - from;
  headerBlock.frames++;
  const maxFrames = MAX_BLOCK_FRAMES + headerBlock.bytes / MIN_FRAME_BYTES;
  if (headerBlock.bytes > MAX_BLOCK_BYTES || headerBlock.frames > maxFrames)
    return ERROR_CODE.ENHANCE_YOUR_CALM;
  const isLast = (flags & FLAG.END_HEADERS) !== 0;
  const code = decode(connection, bytes.subarray(from, to), isLast);
  if (code !== undefined || !isLast) return code;
  connection.headerBlock = undefined;
  return onHeaderBlock(connection, headerBlock.streamId, headerBlock.isEndStream);
}

/** Every block is decoded, even if its stream is reset: the tables of both sides must stay equal. */
function decode({ hpack, onField }: Connection, fragment: Buffer, isLast: boolean): ErrorCode | undefined {
  try {
    hpack.decode(fragment, onField, isLast);
    return undefined;
  } catch (error) {
    if (error instanceof CompressionError) return ERROR_CODE.COMPRESSION_ERROR;
    throw error;
  }
}

/** A complete header block: the head of a new request, or trailers. */
function onHeaderBlock(
  connection: Connection,
  streamId: number,
  isEndStream: boolean,
): ErrorCode | undefined {
  const code =
    streamId > connection.highestOpenedStreamId
      ? openStream(connection, streamId, isEndStream)
      : onTrailers(connection, streamId, isEndStream);
  resetValidator(connection.validator);
  return code;
}
