import { readFileSync, statSync } from "node:fs";
import { decodeUtf8 } from "../core/utf8-text.ts";

/** No policy, key set or certificate is as large as this. */
const MAX_FILE_BYTES = 64 * 1024 * 1024;

/** The text of a file that people or other programs wrote. Throws an Error that says why it cannot be read. */
export function readText(path: string): string {
  const text = decodeUtf8(readFileSync(path));
  if (text === undefined) throw new Error(`${path} is no UTF-8 text`);
  return text;
}

/**
 * The text of a regular file, or undefined if it cannot be read: the caller reports the error. A FIFO or a device, which
 * could block the process or never end, cannot be read.
 */
export function textOf(path: string): string | undefined {
  try {
    const stats = statSync(path);
    return stats.isFile() && stats.size <= MAX_FILE_BYTES ? readText(path) : undefined;
  } catch {
    return undefined;
  }
}
