import { chmodSync, closeSync, fchmodSync, openSync, statSync } from "node:fs";

const OWNER_ONLY = 0o600;

/**
 * Creates a file that only its owner can read, whatever the umask is. SQLite gives its other files the same mode. An existing
 * file is never opened, because closing it would release the locks that this process has on it.
 */
export function ownFile(path: string): void {
  try {
    const file = openSync(path, "wx", OWNER_ONLY);
    fchmodSync(file, OWNER_ONLY);
    closeSync(file);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    tighten(path);
  }
}

/** A file of another user can be writable for us although we cannot change its mode. */
function tighten(path: string): void {
  if ((statSync(path).mode & 0o777) === OWNER_ONLY) return;
  try {
    chmodSync(path, OWNER_ONLY);
  } catch {
    // The mode stays.
  }
}
