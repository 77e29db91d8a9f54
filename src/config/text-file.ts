import { readFileSync, statSync } from "node:fs";
import { decodeUtf8 } from "../core/utf8-text.ts";

/** Larger than any policy, key set or certificate. */
const MAX_FILE_BYTES = 64 * 1024 * 1024;

/** The text of a file. Throws an Error with the reason if it cannot be read. */
export function readText(path: string): string {
  const text = decodeUtf8(readFileSync(path));
  if (text === undefined) throw new Error(`${path} is not UTF-8 text`);
  return text;
}

/**
 * The text of a regular file, or undefined if it cannot be read. The caller reports the error. A FIFO or a device is not read,
 * because it could block the process or never end.
 */
export function textOf(path: string): string | undefined {
  try {
    const stats = statSync(path);
    return stats.isFile() && stats.size <= MAX_FILE_BYTES ? readText(path) : undefined;
  } catch {
    return undefined;
  }
}
