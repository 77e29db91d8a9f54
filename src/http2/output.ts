import type { Socket } from "node:net";
import { encodeFrame } from "./frames.ts";

/** Collects the frames of one connection, and sends them together. */
export interface Output {
  frame(type: number, flags: number, streamId: number, payload: Uint8Array): void;
  /** Reserves bytes after what was written. The caller must fill them before the next flush. */
  reserve(bytes: number): Reservation;
  /** Sends everything that was written. Nothing is sent without a flush. */
  flush(): void;
  /** Flushes after the current callback. */
  flushSoon(): void;
}

export interface Reservation {
  readonly buffer: Buffer;
  readonly at: number;
}

/** Holds the frames of some sixty responses. */
const BUFFER_BYTES = 64 * 1024;
/** The first buffer is small, because many connections send little. */
const FIRST_BUFFER_BYTES = 1024;

/** A buffer that fills from its start. Bytes that were passed to the socket stay unchanged until the socket has sent them. */
interface WriteBuffer {
  readonly buffer: Buffer;
  sent: number;
  end: number;
  /** Writes to the socket that are not complete. */
  writes: number;
}

/** @param onBackpressure called with the bytes that wait in the socket, when they exceed its high-water mark */
export function createOutput(socket: Socket, onBackpressure: (unsentBytes: number) => void): Output {
  let current = createWriteBuffer(0);
  /** A full buffer that has been sent. A busy connection alternates between two buffers. */
  let spare: WriteBuffer | undefined;
  let isFlushDue = false;
  const flush = () => {
    isFlushDue = false;
    const { buffer, sent, end } = current;
    // A closing connection discards later frames: writing them would cut off what is still being sent.
    if (sent === end || socket.destroyed || socket.writableEnded) return;
    const written = current;
    written.writes++;
    written.sent = end;
    const hasCapacity = socket.write(buffer.subarray(sent, end), () => {
      written.writes--;
      if (written.writes === 0 && written !== current && buffer.length === BUFFER_BYTES) spare = written;
    });
    if (!hasCapacity) onBackpressure(socket.writableLength);
  };
  const reserve = (bytes: number): Reservation => {
    if (current.end + bytes > current.buffer.length) {
      flush();
      const size = current.buffer.length === 0 ? FIRST_BUFFER_BYTES : BUFFER_BYTES;
      current =
        spare !== undefined && bytes <= BUFFER_BYTES ? spare : createWriteBuffer(Math.max(bytes, size));
      spare = undefined;
      current.sent = current.end = 0;
    }
    current.end += bytes;
    return { buffer: current.buffer, at: current.end - bytes };
  };
  return {
    reserve,
    flush,
    flushSoon() {
      if (isFlushDue) return;
      isFlushDue = true;
      process.nextTick(flush);
    },
    frame(type, flags, streamId, payload) {
      const bytes = encodeFrame(type, flags, streamId, payload);
      const { buffer, at } = reserve(bytes.length);
      buffer.set(bytes, at);
    },
  };
}

function createWriteBuffer(size: number): WriteBuffer {
  return { buffer: Buffer.allocUnsafeSlow(size), sent: 0, end: 0, writes: 0 };
}
