import { writeSync } from "node:fs";
import type { Delivered, Lines } from "./line-writer.ts";
import { createLineWriter, pause } from "./line-writer.ts";

/** Writes of this size to a pipe are atomic, so lines of several processes do not mix (pipe(7), PIPE_BUF). */
const MAX_WRITE_BYTES = 4096;
/** Maximum size of the queue. Further lines are dropped. */
const MAX_QUEUED_BYTES = 4 * 1024 * 1024;
/** Pause after a failure: a reader may come back, and a full disk may get free space. */
const FAILURE_PAUSE_MS = 1000;

/**
 * Standard output. Its reader may be slow, stall or exit, and its disk may be full. No caller waits for it, and none of its
 * faults ends the process. Lines that it does not take are dropped and counted.
 */
export interface Output {
  /** A text of at most this size is written in one piece. */
  readonly maxPieceBytes: number;
  /** Queues a text of whole lines. */
  write(text: string): void;
  /** Does the same, and resolves with what was written within about that time. The rest is not written later, except of a cut line. */
  deliver(text: string, withinMs: number): Promise<Delivered>;
  /** The number of lines dropped so far. */
  dropped(): number;
  /** Writes the queue synchronously, as far as it is taken. For a process that exits now. */
  flushNow(): void;
  /** Resolves when everything is written, or after that time. Lines that still wait are dropped. */
  close(withinMs: number): Promise<void>;
}

interface Entry extends Lines {
  readonly onEnd: (delivered: Delivered) => void;
}

const NOTHING: Delivered = { isWhole: false, begunLines: 0 };

function entryOf(text: string, onEnd: Entry["onEnd"]): Entry {
  return { bytes: Buffer.from(text), lines: text.split("\n").length - 1, onEnd };
}

export function createOutput(fd: number): Output {
  const queue = createQueue();
  const writer = createLineWriter(fd);
  let dropped = 0;
  let writing: Promise<void> | undefined;
  const end = (entry: Entry, delivered: Delivered) => {
    dropped += entry.lines - delivered.begunLines;
    entry.onEnd(delivered);
  };
  const drop = (entries: Iterable<Entry>) => {
    for (const entry of entries) {
      queue.leave(entry);
      end(entry, NOTHING);
    }
  };
  const writeAll = async () => {
    for (let piece = queue.nextPiece(); piece.length > 0; piece = queue.nextPiece()) {
      const delivered = await writer.write(piece);
      for (const [at, entry] of piece.entries()) end(entry, delivered[at] ?? NOTHING);
      if (!delivered.every(({ isWhole }) => isWhole)) await pause(FAILURE_PAUSE_MS);
    }
    writing = undefined;
  };
  const put = (text: string, onEnd: Entry["onEnd"]) => {
    const entry = entryOf(text, onEnd);
    if (queue.enter(entry)) writing ??= writeAll();
    else drop([entry]);
    return entry;
  };
  return {
    maxPieceBytes: MAX_WRITE_BYTES,
    write: (text) => void put(text, () => undefined),
    deliver(text, withinMs) {
      const written = Promise.withResolvers<Delivered>();
      const entry = put(text, written.resolve);
      const timer = setTimeout(() => queue.holds(entry) && drop([entry]), withinMs);
      return written.promise.finally(() => clearTimeout(timer));
    },
    dropped: () => dropped,
    flushNow: () => writeAtOnce(fd, [writer.rest(), ...queue.all().map(({ bytes }) => bytes)]),
    async close(withinMs) {
      // This timer keeps the process alive, because nothing else may.
      const timeout = Promise.withResolvers<void>();
      const timer = setTimeout(timeout.resolve, withinMs);
      await Promise.race([writing, timeout.promise]);
      clearTimeout(timer);
      drop(queue.all());
    },
  };
}

function createQueue() {
  const entries = new Set<Entry>();
  let bytes = 0;
  const leave = (entry: Entry) => {
    if (entries.delete(entry)) bytes -= entry.bytes.length;
  };
  return {
    leave,
    holds: (entry: Entry) => entries.has(entry),
    all: () => [...entries],
    /** Returns false if the queue is full. */
    enter(entry: Entry): boolean {
      if (bytes + entry.bytes.length > MAX_QUEUED_BYTES) return false;
      entries.add(entry);
      bytes += entry.bytes.length;
      return true;
    },
    /** Removes the entries that fit into one write. A longer entry is a write of its own. */
    nextPiece(): readonly Entry[] {
      const piece: Entry[] = [];
      let freeBytes = MAX_WRITE_BYTES;
      for (const entry of entries) {
        freeBytes -= entry.bytes.length;
        if (piece.length > 0 && freeBytes < 0) break;
        piece.push(entry);
      }
      piece.forEach(leave);
      return piece;
    },
  };
}

function writeAtOnce(fd: number, waiting: Iterable<Buffer>): void {
  try {
    for (const bytes of waiting) writeSync(fd, bytes);
  } catch {
    // The process exits, and there is no other place to report it.
  }
}
