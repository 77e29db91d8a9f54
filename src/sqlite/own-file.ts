import { chmodSync, closeSync, fchmodSync, openSync, statSync } from "node:fs";

const OWNER_ALONE = 0o600;

/**
 * Makes a file that its owner alone may read, whatever the umask is, before SQLite would make it for all; what SQLite puts
 * beside it has its mode. One that is there is never opened: closing it would end the locks that this process has on it.
 */
export function ownFile(path: string): void {
  try {
    const file = openSync(path, "wx", OWNER_ALONE);
    fchmodSync(file, OWNER_ALONE);
    closeSync(file);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    tighten(path);
  }
}

/** Somebody else's file may be one that we may write, and not change the mode of. */
function tighten(path: string): void {
  if ((statSync(path).mode & 0o777) === OWNER_ALONE) return;
  try {
    chmodSync(path, OWNER_ALONE);
  } catch {
    // It stays as its owner wants it.
  }
}
