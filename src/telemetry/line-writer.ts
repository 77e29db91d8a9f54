import { write } from "node:fs";

/** Pause while the reader is behind. */
const BACKPRESSURE_PAUSE_MS = 10;
/** When the reader takes nothing for this time, the write ends. */
const STALL_TIMEOUT_MS = 1000;
const LINE_BREAK = 0x0a;
const NO_BYTES = Buffer.alloc(0);

/** A text of whole lines. */
export interface Lines {
  readonly bytes: Buffer;
  /** Their number. */
  readonly lines: number;
}

/** The part of a text that was written. */
export interface Delivered {
  readonly isWhole: boolean;
  /** Lines that were written, at least in part. The rest of a line that was cut off is written before anything else. */
  readonly begunLines: number;
}

/** Writes whole lines. A line that was cut off, as on a full disk, is finished before anything else is written. */
export interface LineWriter {
  /** Writes texts in one piece, and resolves with what was written of each. One call at a time. */
  write(texts: readonly Lines[]): Promise<readonly Delivered[]>;
  /** The rest of a line that was cut off. */
  rest(): Buffer;
}

export function createLineWriter(fd: number): LineWriter {
  let rest: Buffer = NO_BYTES;
  return {
    async write(texts) {
      const bytes = Buffer.concat([rest, ...texts.map((text) => text.bytes)]);
      let start = rest.length;
      rest = NO_BYTES;
      const taken = await writePiece(fd, bytes);
      /** The end of the last line that has begun. */
      const end = taken === 0 ? 0 : bytes.indexOf(LINE_BREAK, taken - 1) + 1;
      rest = bytes.subarray(taken, Math.max(end, start));
      return texts.map((text) => {
        const from = start;
        start += text.bytes.length;
        if (taken >= start) return { isWhole: true, begunLines: text.lines };
        return { isWhole: false, begunLines: countLines(bytes.subarray(from, Math.max(end, from))) };
      });
    },
    rest: () => rest,
  };
}

function countLines(bytes: Buffer): number {
  let lines = 0;
  for (const byte of bytes) if (byte === LINE_BREAK) lines++;
  return lines;
}

/** Resolves with the number of bytes written: all, unless a write fails or the reader takes nothing for too long. */
async function writePiece(fd: number, piece: Buffer): Promise<number> {
  let [at, takenMs] = [0, performance.now()];
  while (at < piece.length) {
    const taken = await writeSome(fd, piece.subarray(at));
    if (taken > 0) takenMs = performance.now();
    if (taken < 0 || performance.now() - takenMs > STALL_TIMEOUT_MS) return at;
    if (taken === 0) await pause(BACKPRESSURE_PAUSE_MS);
    at += taken;
  }
  return at;
}

/** Resolves with the number of bytes written; 0 while the reader is behind, −1 on a failure. */
function writeSome(fd: number, bytes: Buffer): Promise<number> {
  return new Promise((resolve) => {
    // Node's thread pool writes: a disk or a terminal may block, and must not block Checks.
    write(fd, bytes, (error, taken) => resolve(error === null ? taken : error.code === "EAGAIN" ? 0 : -1));
  });
}

/** A pause that does not keep the process alive. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
