import type { OnBody, Stream } from "./connection-state.ts";
import { releaseBody } from "./stream.ts";

const NO_BYTES = Buffer.alloc(0);

/** A complete body, valid during the call only. Undefined: the body is too long, contradicts its content-length, or exceeds a memory limit. */
export type WholeBody = Buffer | undefined;

/**
 * Callbacks of a stream that collect its body. They call `onWholeBody` once, and never for a stream that closes before its
 * body is complete.
 */
export function bufferBody(
  maxBytes: number,
  onWholeBody: (stream: Stream, body: WholeBody) => void,
): { readonly onBody: OnBody; readonly onBodyRejected: (stream: Stream) => void } {
  const onBodyRejected = (stream: Stream) => {
    releaseBody(stream);
    if (stream.onBody === undefined) return;
    stream.onBody = undefined;
    onWholeBody(stream, undefined);
  };
  const onBody: OnBody = (stream, piece, isLast) => {
    const bytes = stream.bodyBytes + piece.length;
    if (bytes > maxBytes) return onBodyRejected(stream);
    // A body usually arrives in one piece, which is not copied.
    if (isLast && stream.bodyBytes === 0) return onWholeBody(stream, piece);
    const { connection } = stream;
    while (connection.bufferedBytes + piece.length > connection.load.limits.buffered.connection) {
      const largest = largestOf(stream);
      largest.onBodyRejected?.(largest);
      if (largest === stream) return;
    }
    stream.body = append(stream.body ?? NO_BYTES, stream.bodyBytes, piece);
    stream.bodyBytes = bytes;
    connection.bufferedBytes += piece.length;
    if (!isLast) {
      connection.load.buffered.set(stream, stream.body.length);
      return;
    }
    const body = stream.body.subarray(0, bytes);
    releaseBody(stream);
    onWholeBody(stream, body);
  };
  return { onBody, onBodyRejected };
}

/** The stream of this connection with the largest incomplete body, so that streams with small bodies are not affected. */
function largestOf(stream: Stream): Stream {
  let largest = stream;
  for (const other of stream.connection.streams.values())
    if (other.bodyBytes > largest.bodyBytes) largest = other;
  return largest;
}

/** The capacity doubles, so a body of a thousand pieces is not copied a thousand times. */
function append(buffer: Buffer, bytes: number, piece: Buffer): Buffer {
  const needed = bytes + piece.length;
  const target = buffer.length >= needed ? buffer : Buffer.allocUnsafeSlow(2 * needed);
  if (target !== buffer) buffer.copy(target, 0, 0, bytes);
  piece.copy(target, bytes);
  return target;
}

/** Counts what a handler keeps of a body by itself against the limits of the connection and of the process. */
export interface BufferedCount {
  set(bytes: number): void;
  readonly bytes: () => number;
  /** The connection keeps more than it may: the handler must free its bytes, or end the stream. */
  readonly isOverLimit: () => boolean;
}

export function countBuffered(stream: Stream): BufferedCount {
  const { connection } = stream;
  let counted = 0;
  return {
    set(bytes) {
      connection.bufferedBytes += bytes - counted;
      counted = bytes;
      connection.load.buffered.set(stream, bytes);
    },
    bytes: () => counted,
    isOverLimit: () => connection.bufferedBytes > connection.load.limits.buffered.connection,
  };
}
