import { fstatSync, statSync } from "node:fs";
import { EXIT } from "./exit-codes.ts";
import type { Io } from "./io.ts";

const STDOUT = 1;

/**
 * Ends the process with an exit code that is not 0 as soon as stdout does not take what a command prints. `serve` writes
 * its log by another way, which no fault of stdout ends.
 */
export function endWithStandardOutput(complain: Io["printError"]): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(EXIT.unread);
    complain(`latchkey: standard output cannot be written: ${error.message}`);
    process.exit(EXIT.failed);
  });
  // What is said to nobody is no reason to end: the exit code tells.
  process.stderr.on("error", () => undefined);
}

/**
 * Why what goes to stdout would be lost; undefined where it would not, as far as can be known before. Node opens /dev/null
 * in the place of a descriptor that is closed (`>&-`).
 */
export function standardOutputProblem(): string | undefined {
  try {
    const [out, none] = [fstatSync(STDOUT), statSync("/dev/null")];
    const leadsNowhere = out.isCharacterDevice() && out.rdev === none.rdev;
    return leadsNowhere ? "standard output is closed, or is /dev/null" : undefined;
  } catch {
    return "standard output is closed";
  }
}
