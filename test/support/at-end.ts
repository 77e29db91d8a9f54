import { rmSync } from "node:fs";
import { killRunning } from "../../scripts/child.ts";

const folders: string[] = [];

/** Removes the folder when the tests of this file have ended, also after a failure. */
export function removeAtEnd(folder: string): void {
  folders.push(folder);
}

function cleanUp(): void {
  killRunning();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

process.once("exit", cleanUp);
// Vitest ends its workers by this signal, which emits no "exit" event.
process.once("SIGTERM", () => {
  cleanUp();
  process.kill(process.pid, "SIGTERM");
});
