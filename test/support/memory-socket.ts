import { EventEmitter } from "node:events";
import type { Socket } from "node:net";

/** A socket without a network: what arrives is delivered in one call, so that a test needs no event loop. */
export interface MemorySocket {
  readonly socket: Socket;
  /** Delivers bytes, unless the server has paused the socket or closed it. Returns whether it took them. */
  deliver(bytes: Buffer): boolean;
  /** Whether `deliver` would take bytes. */
  readonly isReadable: () => boolean;
  /** From now on, all that is sent waits in the socket. */
  stopReading(): void;
  /** Takes all that waits in the socket. */
  read(): void;
  close(): void;
}

const HIGH_WATER_MARK_BYTES = 16 * 1024;

export interface MemorySocketOptions {
  /** Bytes from the server, valid during the call only. */
  readonly onSent: (bytes: Buffer) => void;
  /** The client takes no bytes until `read`. */
  readonly readsNothing?: boolean;
}

export function memorySocket({ onSent, readsNothing = false }: MemorySocketOptions): MemorySocket {
  const events = new EventEmitter();
  let isPaused = false;
  let isReading = !readsNothing;
  let unwritten: (() => void)[] = [];
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
      onSent(bytes);
      if (isReading) onWritten();
      else {
        state.writableLength += bytes.length;
        unwritten.push(onWritten);
      }
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
      if (isReading) close();
    },
    destroy: close,
  });
  return {
    // The server uses these members only.
    socket: state as unknown as Socket,
    deliver(bytes) {
      if (state.destroyed || isPaused) return false;
      events.emit("data", bytes);
      return true;
    },
    isReadable: () => !state.destroyed && !isPaused,
    stopReading() {
      isReading = false;
    },
    read() {
      isReading = true;
      const [hadWaited, written] = [state.writableLength >= HIGH_WATER_MARK_BYTES, unwritten];
      unwritten = [];
      state.writableLength = 0;
      for (const onWritten of written) onWritten();
      if (state.destroyed) return;
      if (state.writableEnded) close();
      else if (hadWaited) events.emit("drain");
    },
    close,
  };
}
