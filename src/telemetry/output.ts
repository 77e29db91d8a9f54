import { write, writeSync } from "node:fs";

/** What a pipe takes in one piece, so that lines of several processes do not get into one another (pipe(7), PIPE_BUF). */
const MAX_PIECE_BYTES = 4096;
/** Text that waits at most; what comes beyond it is dropped. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;
/** After a reader that is behind. */
const TRY_AGAIN_AFTER_MS = 10;
/** A reader that takes nothing for so long stands still: the piece is dropped. */
const STANDS_STILL_MS = 1000;
/** After a failure: a reader that has gone may come back, and a full disk may have room again. */
const TRY_ANEW_AFTER_MS = 1000;

/**
 * Standard output, or what is in its place: its reader may be slow, stand still or go, and its disk may be full. Nobody
 * waits for it, and no fault of it ends the process: lines that it does not take are dropped, and counted.
 */
export interface Output {
  /** Takes a text of whole lines. */
  write(text: string): void;
  /** The same, and says whether it was taken, within about that time. A text that was not is not written later. */
  deliver(text: string, withinMs: number): Promise<boolean>;
  /** Lines that were dropped so far. */
  dropped(): number;
  /** Writes what waits at once, as far as it is taken: for a process that ends here. */
  flushNow(): void;
  /** Resolves when all is written, or after that time; what waits then is dropped. */
  close(withinMs: number): Promise<void>;
}

interface Entry {
  readonly bytes: Buffer;
  readonly lines: number;
  readonly settle: (taken: boolean) => void;
}

export function createOutput(fd: number): Output {
  const queue = createQueue();
  let dropped = 0;
  let writing: Promise<void> | undefined;
  const drop = (entries: Iterable<Entry>) => {
    for (const entry of entries) {
      queue.leave(entry);
      dropped += entry.lines;
      entry.settle(false);
    }
  };
  const writeAll = async () => {
    let lead = "";
    for (let piece = queue.nextPiece(); piece.length > 0; piece = queue.nextPiece()) {
      const outcome = await writePiece(
        fd,
        Buffer.concat([Buffer.from(lead), ...piece.map(({ bytes }) => bytes)]),
      );
      if (outcome === "written") for (const { settle } of piece) settle(true);
      else drop(piece);
      // Half a line must not become the beginning of the next one.
      if (outcome !== "failed") lead = outcome === "half" ? "\n" : "";
      if (outcome !== "written") await pause(TRY_ANEW_AFTER_MS);
    }
    writing = undefined;
  };
  const put = (text: string, settle: Entry["settle"]) => {
    const entry: Entry = { bytes: Buffer.from(text), lines: text.split("\n").length - 1, settle };
    if (queue.enter(entry)) writing ??= writeAll();
    else drop([entry]);
    return entry;
  };
  return {
    write: (text) => void put(text, () => undefined),
    deliver(text, withinMs) {
      const taken = Promise.withResolvers<boolean>();
      const entry = put(text, taken.resolve);
      const late = setTimeout(() => queue.holds(entry) && drop([entry]), withinMs);
      return taken.promise.finally(() => clearTimeout(late));
    },
    dropped: () => dropped,
    flushNow: () => writeAtOnce(fd, queue.all()),
    async close(withinMs) {
      // This timer keeps the process: nothing else may be left that does.
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, withinMs);
      await Promise.race([writing, late.promise]);
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
    /** False where there is no room. */
    enter(entry: Entry): boolean {
      if (bytes + entry.bytes.length > MAX_WAITING_BYTES) return false;
      entries.add(entry);
      bytes += entry.bytes.length;
      return true;
    },
    /** Takes out entries that fit into one piece; a longer one is a piece of its own. */
    nextPiece(): readonly Entry[] {
      const piece: Entry[] = [];
      let room = MAX_PIECE_BYTES;
      for (const entry of entries) {
        room -= entry.bytes.length;
        if (piece.length > 0 && room < 0) break;
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
    if (taken < 0 || performance.now() - takenMs > STANDS_STILL_MS) return at > 0 ? "half" : "failed";
    if (taken === 0) await pause(TRY_AGAIN_AFTER_MS);
    at += taken;
  }
  return "written";
}

/** How many bytes were taken; 0 while a reader is behind, −1 where nothing can be written. */
function writeSome(fd: number, bytes: Buffer): Promise<number> {
  return new Promise((resolve) => {
    // By a thread of Node's pool: a disk or a terminal may hold it up, and must not hold up Checks.
    write(fd, bytes, (error, taken) => resolve(error === null ? taken : error.code === "EAGAIN" ? 0 : -1));
  });
}

function writeAtOnce(fd: number, waiting: Iterable<Entry>): void {
  try {
    for (const { bytes } of waiting) writeSync(fd, bytes);
  } catch {
    // The process ends, and there is no other place to say it.
  }
}

/** Unlike another timer it keeps no process. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
