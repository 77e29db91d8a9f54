import { fstatSync, statSync } from "node:fs";
import { EXIT } from "./exit-codes.ts";
import type { Io } from "./io.ts";

const STDOUT = 1;

/**
 * Ends the process with a non-zero exit code as soon as stdout rejects the output of a command. `serve` is not affected,
 * because it writes its log in another way.
 */
export function endWithStandardOutput(printError: Io["printError"]): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(EXIT.unread);
    printError(`latchkey: standard output cannot be written: ${error.message}`);
    process.exit(EXIT.failed);
  });
  // A closed stderr is no reason to stop. The exit code still reports the result.
  process.stderr.on("error", () => undefined);
}

/**
 * Why output to stdout would be lost, as far as that is known before writing. Undefined if it would not. Node opens
 * /dev/null in place of a closed descriptor (`>&-`).
 */
export function standardOutputProblem(): string | undefined {
  try {
    const [out, devNull] = [fstatSync(STDOUT), statSync("/dev/null")];
    const isDevNull = out.isCharacterDevice() && out.rdev === devNull.rdev;
    return isDevNull ? "standard output is closed, or is /dev/null" : undefined;
  } catch {
    return "standard output is closed";
  }
}
