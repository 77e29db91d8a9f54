import { isUtf8 } from "node:buffer";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";

/** One line of a file. */
export interface FileLine {
  /** From 1. */
  readonly number: number;
  /** Undefined: too long to be one, or no UTF-8. */
  readonly text: string | undefined;
  /** Whether a line break ends it: the last one may lack it. */
  readonly ended: boolean;
}

/** No line of ours is nearly so long; a file of something else must not fill the memory. */
const MAX_LINE_BYTES = 1024 * 1024;
const BREAK = 0x0a;

/**
 * The lines of a file, in portions, in bounded memory; `.gz` is unpacked. Rejects when the file cannot be read.
 * @param read hears how many bytes of the file have been read since last time
 */
export async function* fileLines(
  path: string,
  read: (bytes: number) => void = () => undefined,
): AsyncGenerator<readonly FileLine[]> {
  const file = createReadStream(path);
  file.on("data", (chunk) => read(chunk.length));
  // Whoever reads on hears of every error; whoever stops reading ends both.
  const source: AsyncIterable<Buffer> = path.endsWith(".gz")
    ? pipeline(file, createGunzip(), () => undefined)
    : file;
  let number = 0;
  let begun: Buffer[] = [];
  let begunBytes = 0;
  const lineOf = (end: Buffer, ended: boolean): FileLine => {
    const bytes = begun.length === 0 ? end : Buffer.concat([...begun, end]);
    const fits = begunBytes + end.length <= MAX_LINE_BYTES && isUtf8(bytes);
    [begun, begunBytes] = [[], 0];
    number++;
    return { number, text: fits ? bytes.toString("utf8") : undefined, ended };
  };
  for await (const chunk of source) {
    const lines: FileLine[] = [];
    let from = 0;
    for (let at = chunk.indexOf(BREAK); at !== -1; at = chunk.indexOf(BREAK, from)) {
      lines.push(lineOf(chunk.subarray(from, at), true));
      from = at + 1;
    }
    const rest = chunk.subarray(from);
    if (rest.length > 0) {
      // Of what is too long already, only that it is so is kept.
      if (begunBytes <= MAX_LINE_BYTES) begun.push(rest);
      begunBytes += rest.length;
    }
    yield lines;
  }
  if (begunBytes > 0) yield [lineOf(Buffer.alloc(0), false)];
}
