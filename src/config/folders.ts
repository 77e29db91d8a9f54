import { chmodSync, existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";

/**
 * Makes a folder and those above it that are missing, with this mode whatever the umask is. One after the other: on a file
 * system that makes no folders, such as /proc, `mkdir` of Node with `recursive` comes to no end. Throws what the system says.
 */
export function makeFolder(path: string, mode: number): void {
  const folder = resolve(path);
  if (existsSync(folder)) return;
  if (dirname(folder) !== folder) makeFolder(dirname(folder), mode);
  try {
    mkdirSync(folder, { mode });
  } catch (error) {
    // Another process may have been quicker.
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return;
    throw error;
  }
  chmodSync(folder, mode);
}

/** What is in the place of a regular file, such as "a folder"; undefined where there is one, or nothing yet. */
export function notAFile(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || found.isFile()) return undefined;
  if (found.isDirectory()) return "a folder";
  return found.isFIFO() ? "a pipe" : "a device or a socket";
}
