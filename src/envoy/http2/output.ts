import type { Socket } from "node:net";
import { frameOf } from "./frames.ts";

/** What is written to one connection: frames are put one behind the other, and sent together. */
export interface Output {
  frame(type: number, flags: number, streamId: number, payload: Uint8Array): void;
  /** Room for so many bytes at its end; they count as written. */
  room(bytes: number): Room;
  /** Sends what has been put here; nothing is sent otherwise. */
  flush(): void;
  /** The same, once whatever happens now is over. */
  flushSoon(): void;
}

export interface Room {
  readonly buffer: Buffer;
  readonly at: number;
}

/** Frames of some sixty answers. A buffer is filled once and never written again: the socket may still send from it. */
const BUFFER_BYTES = 64 * 1024;
/** Connections that say little are many. */
const FIRST_BUFFER_BYTES = 1024;

export function createOutput(socket: Socket): Output {
  let buffer = Buffer.alloc(0);
  let [sent, end] = [0, 0];
  let isDue = false;
  const flush = () => {
    isDue = false;
    // What still comes of calls whose connection closes is for nobody: writing it would cut off what is on its way.
    if (sent === end || socket.destroyed || socket.writableEnded) return;
    socket.write(buffer.subarray(sent, end));
    sent = end;
  };
  const room = (bytes: number): Room => {
    if (end + bytes > buffer.length) {
      flush();
      buffer = Buffer.allocUnsafeSlow(
        Math.max(bytes, buffer.length === 0 ? FIRST_BUFFER_BYTES : BUFFER_BYTES),
      );
      [sent, end] = [0, 0];
    }
    end += bytes;
    return { buffer, at: end - bytes };
  };
  return {
    room,
    flush,
    flushSoon() {
      if (isDue) return;
      isDue = true;
      process.nextTick(flush);
    },
    frame(type, flags, streamId, payload) {
      const bytes = frameOf(type, flags, streamId, payload);
      const { buffer: to, at } = room(bytes.length);
      to.set(bytes, at);
    },
  };
}
