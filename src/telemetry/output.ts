import { write, writeSync } from "node:fs";

/** Writes of this size to a pipe are atomic, so lines of several processes do not mix (pipe(7), PIPE_BUF). */
const MAX_WRITE_BYTES = 4096;
/** Maximum size of the queue. Further lines are dropped. */
const MAX_QUEUED_BYTES = 4 * 1024 * 1024;
/** Pause while the reader is behind. */
const BACKPRESSURE_PAUSE_MS = 10;
/** When the reader takes nothing for this time, the write is dropped. */
const STALL_TIMEOUT_MS = 1000;
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
  /** Does the same, and resolves with whether the text was written within about that time. Otherwise it is not written later. */
  deliver(text: string, withinMs: number): Promise<boolean>;
  /** The number of lines dropped so far. */
  dropped(): number;
  /** Writes the queue synchronously, as far as it is taken. For a process that exits now. */
  flushNow(): void;
  /** Resolves when everything is written, or after that time. Lines that still wait are dropped. */
  close(withinMs: number): Promise<void>;
}

interface Entry {
  readonly bytes: Buffer;
  readonly lines: number;
  readonly onEnd: (written: boolean) => void;
}

function entryOf(text: string, onEnd: Entry["onEnd"]): Entry {
  return { bytes: Buffer.from(text), lines: text.split("\n").length - 1, onEnd };
}

export function createOutput(fd: number): Output {
  const queue = createQueue();
  let dropped = 0;
  let writing: Promise<void> | undefined;
  const drop = (entries: Iterable<Entry>) => {
    for (const entry of entries) {
      queue.leave(entry);
      dropped += entry.lines;
      entry.onEnd(false);
    }
  };
  const writeAll = async () => {
    let lead = "";
    for (let piece = queue.nextPiece(); piece.length > 0; piece = queue.nextPiece()) {
      const bytes = Buffer.concat([Buffer.from(lead), ...piece.map((entry) => entry.bytes)]);
      const outcome = await writePiece(fd, bytes);
      if (outcome === "written") for (const { onEnd } of piece) onEnd(true);
      else drop(piece);
      // The next line must not continue a half-written one.
      if (outcome !== "failed") lead = outcome === "half" ? "\n" : "";
      if (outcome !== "written") await pause(FAILURE_PAUSE_MS);
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
      const written = Promise.withResolvers<boolean>();
      const entry = put(text, written.resolve);
      const timer = setTimeout(() => queue.holds(entry) && drop([entry]), withinMs);
      return written.promise.finally(() => clearTimeout(timer));
    },
    dropped: () => dropped,
    flushNow: () => writeAtOnce(fd, queue.all()),
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

async function writePiece(fd: number, piece: Buffer): Promise<"written" | "half" | "failed"> {
  let [at, takenMs] = [0, performance.now()];
  while (at < piece.length) {
    const taken = await writeSome(fd, piece.subarray(at));
    if (taken > 0) takenMs = performance.now();
    if (taken < 0 || performance.now() - takenMs > STALL_TIMEOUT_MS) return at > 0 ? "half" : "failed";
    if (taken === 0) await pause(BACKPRESSURE_PAUSE_MS);
    at += taken;
  }
  return "written";
}

/** Resolves with the number of bytes written; 0 while the reader is behind, −1 on a failure. */
function writeSome(fd: number, bytes: Buffer): Promise<number> {
  return new Promise((resolve) => {
    // Node's thread pool writes: a disk or a terminal may block, and must not block Checks.
    write(fd, bytes, (error, taken) => resolve(error === null ? taken : error.code === "EAGAIN" ? 0 : -1));
  });
}

function writeAtOnce(fd: number, waiting: Iterable<Entry>): void {
  try {
    for (const { bytes } of waiting) writeSync(fd, bytes);
  } catch {
    // The process exits, and there is no other place to report it.
  }
}

/** A pause that does not keep the process alive. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
