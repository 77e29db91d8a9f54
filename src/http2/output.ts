import type { Socket } from "node:net";
import { encodeFrame } from "./frames.ts";

/** What is written to one connection: frames are put one behind the other, and sent together. */
export interface Output {
  frame(type: number, flags: number, streamId: number, payload: Uint8Array): void;
  /** Room for so many bytes at its end; they count as written. */
  reserve(bytes: number): Reservation;
  /** Sends what has been put here; nothing is sent otherwise. */
  flush(): void;
  /** The same, once whatever happens now is over. */
  flushSoon(): void;
}

export interface Reservation {
  readonly buffer: Buffer;
  readonly at: number;
}

/** Frames of some sixty answers. */
const BUFFER_BYTES = 64 * 1024;
/** Connections that say little are many. */
const FIRST_BUFFER_BYTES = 1024;

/** A buffer that is filled from its beginning; what has been sent of it stays as it is until the socket is through with it. */
interface WriteBuffer {
  readonly buffer: Buffer;
  sent: number;
  end: number;
  /** Writes of it that are under way. */
  writes: number;
}

/** @param behind is given what waits in the socket, when that is more than it should be, until it drains */
export function createOutput(socket: Socket, behind: (bytes: number) => void): Output {
  let filling = newFilling(0);
  /** One that was full and is free again: a busy connection needs two, and makes no more of them. */
  let spare: WriteBuffer | undefined;
  let isDue = false;
  const flush = () => {
    isDue = false;
    const { buffer, sent, end } = filling;
    // What still comes of calls whose connection closes is for nobody: writing it would cut off what is on its way.
    if (sent === end || socket.destroyed || socket.writableEnded) return;
    const written = filling;
    written.writes++;
    written.sent = end;
    const isTaken = socket.write(buffer.subarray(sent, end), () => {
      written.writes--;
      if (written.writes === 0 && written !== filling && buffer.length === BUFFER_BYTES) spare = written;
    });
    if (!isTaken) behind(socket.writableLength);
  };
  const reserve = (bytes: number): Reservation => {
    if (filling.end + bytes > filling.buffer.length) {
      flush();
      const size = filling.buffer.length === 0 ? FIRST_BUFFER_BYTES : BUFFER_BYTES;
      filling = spare !== undefined && bytes <= BUFFER_BYTES ? spare : newFilling(Math.max(bytes, size));
      spare = undefined;
      filling.sent = filling.end = 0;
    }
    filling.end += bytes;
    return { buffer: filling.buffer, at: filling.end - bytes };
  };
  return {
    reserve,
    flush,
    flushSoon() {
      if (isDue) return;
      isDue = true;
      process.nextTick(flush);
    },
    frame(type, flags, streamId, payload) {
      const bytes = encodeFrame(type, flags, streamId, payload);
      const { buffer: to, at } = reserve(bytes.length);
      to.set(bytes, at);
    },
  };
}

function newFilling(size: number): WriteBuffer {
  return { buffer: Buffer.allocUnsafeSlow(size), sent: 0, end: 0, writes: 0 };
}
