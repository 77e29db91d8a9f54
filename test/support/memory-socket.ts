import { EventEmitter } from "node:events";
import type { Socket } from "node:net";

/** A socket without a network: what arrives is delivered in one call, so that a test needs no event loop. */
export interface MemorySocket {
  readonly socket: Socket;
  /** Everything that the server has sent. */
  readonly sent: Buffer[];
  /** Delivers bytes, unless the server has paused the socket or closed it. Returns whether it took them. */
  deliver(bytes: Buffer): boolean;
  close(): void;
}

const HIGH_WATER_MARK_BYTES = 16 * 1024;

/** @param readsNothing the client takes no bytes, so all that is sent waits in the socket */
export function memorySocket({ readsNothing = false } = {}): MemorySocket {
  const events = new EventEmitter();
  const sent: Buffer[] = [];
  let isPaused = false;
  const close = () => {
    if (state.destroyed) return;
    state.destroyed = true;
    events.emit("close");
  };
  const state = Object.assign(events, {
    destroyed: false,
    writableEnded: false,
    writableLength: 0,
    write(bytes: Buffer, onWritten: () => void): boolean {
      // The server may reuse its buffer once the bytes are written.
      sent.push(Buffer.from(bytes));
      if (readsNothing) state.writableLength += bytes.length;
      else onWritten();
      return state.writableLength < HIGH_WATER_MARK_BYTES;
    },
    pause() {
      isPaused = true;
    },
    resume() {
      isPaused = false;
    },
    destroySoon() {
      state.writableEnded = true;
      if (!readsNothing) close();
    },
    destroy: close,
  });
  return {
    // The server uses these members only.
    socket: state as unknown as Socket,
    sent,
    deliver(bytes) {
      if (state.destroyed || isPaused) return false;
      events.emit("data", bytes);
      return true;
    },
    close,
  };
}
