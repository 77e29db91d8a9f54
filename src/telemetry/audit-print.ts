import { write } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

const STDOUT = 1;
/** What a pipe takes in one piece, so that lines of the log do not get in between (pipe(7), PIPE_BUF). */
const MAX_PIECE_BYTES = 4096;
const TRY_AGAIN_AFTER_MS = 10;

/** Lines for whoever collects the output. A reader that is slow holds up nobody but the lines that come after. */
export async function printLines(lines: readonly string[]): Promise<void> {
  let piece = "";
  for (const line of lines) {
    if (piece !== "" && Buffer.byteLength(piece) + Buffer.byteLength(line) >= MAX_PIECE_BYTES) {
      await writeWhole(Buffer.from(piece));
      piece = "";
    }
    piece += `${line}\n`;
  }
  if (piece !== "") await writeWhole(Buffer.from(piece));
}

async function writeWhole(bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const written = await writeSome(bytes.subarray(at));
    if (written === 0) await pause(TRY_AGAIN_AFTER_MS);
    at += written;
  }
}

/** How many bytes were taken; none while a reader that must not be waited for is behind. */
function writeSome(bytes: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    // By a thread of its own: process.stdout would hold up every Check.
    write(STDOUT, bytes, (error, written) => {
      if (error === null) resolve(written);
      else if (error.code === "EAGAIN") resolve(0);
      else reject(error);
    });
  });
}
