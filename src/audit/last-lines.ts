import { open } from "node:fs/promises";
import { rotatedFiles } from "./file.ts";

/**
 * The last whole lines of an audit file and its rotated files, oldest first, of at most `maxBytes` together. A file that
 * cannot be read is left out.
 */
export async function lastLines(path: string, maxBytes: number): Promise<readonly string[]> {
  const rotated = await rotatedFiles(path).catch(() => []);
  const newestFirst = [path, ...rotated.map((file) => file.path).reverse()];
  const parts: (readonly string[])[] = [];
  let left = maxBytes;
  for (const file of newestFirst) {
    if (left <= 0) break;
    const text = await lastText(file, left).catch(() => "");
    left -= Buffer.byteLength(text);
    parts.push(text.split("\n"));
  }
  return parts
    .reverse()
    .flat()
    .filter((line) => line !== "");
}

/** The whole lines at the end of a file. A line that is being written now has no end yet, and is left out. */
async function lastText(path: string, maxBytes: number): Promise<string> {
  const handle = await open(path, "r");
  try {
    const { size } = await handle.stat();
    const from = Math.max(0, size - maxBytes);
    const bytes = Buffer.alloc(size - from);
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, from);
    const whole = bytes.subarray(0, bytesRead);
    const begin = from === 0 ? 0 : whole.indexOf("\n") + 1;
    return whole.subarray(begin, whole.lastIndexOf("\n") + 1).toString("utf8");
  } finally {
    await handle.close();
  }
}
