import { rmSync } from "node:fs";
import { killRunning } from "../../scripts/child.ts";

const folders: string[] = [];

/** Removes the folder when the tests of this file have ended, also after a failure. */
export function removeAtEnd(folder: string): void {
  folders.push(folder);
}

const processes = new Set<number>();

/** Kills a process when the tests end, unless the returned function was called: its id may be another process's by then. */
export function killAtEnd(pid: number): () => void {
  processes.add(pid);
  return () => processes.delete(pid);
}

function cleanUp(): void {
  killRunning();
  for (const pid of processes) killIfRunning(pid);
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

process.once("exit", cleanUp);
// Vitest ends its workers by this signal, which emits no "exit" event.
process.once("SIGTERM", () => {
  cleanUp();
  process.kill(process.pid, "SIGTERM");
});

function killIfRunning(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}
