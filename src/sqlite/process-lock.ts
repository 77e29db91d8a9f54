import { DatabaseSync } from "node:sqlite";
import { ownFile } from "./own-file.ts";

/** That something is this process's alone. It ends with the process, however that ends. */
export interface ProcessLock {
  release(): void;
}

/**
 * Takes the lock of this name, a file that stays; undefined while somebody has it, or where the file system knows no locks.
 * It is the kernel's, which SQLite takes for us: Node has no other, and a file that says who is there outlives a crash.
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
