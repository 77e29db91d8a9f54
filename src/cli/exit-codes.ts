import { CommanderError } from "commander";

/** How a command ends (docs/reference/cli.md). */
export const EXIT = {
  done: 0,
  /** Refused, or something is wrong with what was looked at. */
  failed: 1,
  /** Called wrongly: an argument, a variable or a file that is missing or wrong. Nothing was done. */
  usageError: 2,
  /** No answer came: it may have been done. */
  unanswered: 3,
  /** Whoever reads stdout has gone, as `| head` does: what a shell says of a program that SIGPIPE has ended. */
  unread: 141,
} as const;

/** A wrong argument. Its message must not quote the argument, which may be a credential. */
export class UsageError extends CommanderError {
  constructor(message: string) {
    super(EXIT.usageError, "latchkey.usage", message);
  }
}
