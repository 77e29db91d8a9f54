import { createReadStream } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import type { FileLine } from "../audit/lines.ts";
import { linesOf } from "../audit/lines.ts";

/**
 * Reads the lines of a file in batches, in bounded memory. Decompresses `.gz`. Rejects if the file cannot be read.
 * @param onRead receives the number of bytes of the file that were read since the last call
 */
export function fileLines(
  path: string,
  onRead: (bytes: number) => void = () => undefined,
): AsyncGenerator<readonly FileLine[]> {
  const file = createReadStream(path);
  file.on("data", (chunk) => onRead(chunk.length));
  // Reading the pipeline throws every error of both streams. Leaving the loop closes both.
  return linesOf(path.endsWith(".gz") ? pipeline(file, createGunzip(), () => undefined) : file);
}
