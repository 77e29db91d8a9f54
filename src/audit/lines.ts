import { isUtf8 } from "node:buffer";

/** One line of a file. */
export interface FileLine {
  /** Starts at 1. */
  readonly number: number;
  /** Undefined if the line is too long or not UTF-8. */
  readonly text: string | undefined;
  /** Whether a line break follows. The last line may lack one. */
  readonly ended: boolean;
}

/** Far above any line that Latchkey writes. Bounds the memory for files of another kind. */
const MAX_LINE_BYTES = 1024 * 1024;
const LINE_FEED = 0x0a;

/** The lines of a stream in batches, in bounded memory. Rejects if the stream fails. */
export async function* linesOf(source: AsyncIterable<Buffer>): AsyncGenerator<readonly FileLine[]> {
  let number = 0;
  let partial: Buffer[] = [];
  let partialBytes = 0;
  const lineOf = (end: Buffer, ended: boolean): FileLine => {
    const bytes = partial.length === 0 ? end : Buffer.concat([...partial, end]);
    const isText = partialBytes + end.length <= MAX_LINE_BYTES && isUtf8(bytes);
    [partial, partialBytes] = [[], 0];
    number++;
    return { number, text: isText ? bytes.toString("utf8") : undefined, ended };
  };
  for await (const chunk of source) {
    const lines: FileLine[] = [];
    let from = 0;
    for (let at = chunk.indexOf(LINE_FEED); at !== -1; at = chunk.indexOf(LINE_FEED, from)) {
      lines.push(lineOf(chunk.subarray(from, at), true));
      from = at + 1;
    }
    const rest = chunk.subarray(from);
    if (rest.length > 0) {
      // Keeps only the length of a line that is already too long.
      if (partialBytes <= MAX_LINE_BYTES) partial.push(rest);
      partialBytes += rest.length;
    }
    yield lines;
  }
  if (partialBytes > 0) yield [lineOf(Buffer.alloc(0), false)];
}
