import { DatabaseSync } from "node:sqlite";
import { ownFile } from "./own-file.ts";

/** An exclusive lock of this process. It ends with the process, even after a crash. */
export interface ProcessLock {
  release(): void;
}

/**
 * Locks the file of this path, which is never removed. Undefined if another process has the lock, or if the file system has
 * no locks. Node has no file locks, so SQLite takes the kernel's. A file with a process id would outlive a crash.
 */
export function lockForProcess(path: string): ProcessLock | undefined {
  ownFile(path);
  const lock = new DatabaseSync(path, { timeout: 0 });
  try {
    lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    return { release: () => lock.close() };
  } catch {
    lock.close();
    return undefined;
  }
}
