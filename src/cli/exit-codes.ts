import { CommanderError } from "commander";

/** The exit codes of every command (docs/reference/cli.md). */
export const EXIT = {
  done: 0,
  /** The request was denied, or the command found a problem. */
  failed: 1,
  /** An argument, a variable or a file is missing or invalid. Nothing was done. */
  usageError: 2,
  /** No response arrived. The request may have been executed. */
  unanswered: 3,
  /** The reader of stdout has closed it, as `| head` does. A shell reports this code for SIGPIPE. */
  unread: 141,
} as const;

/** An invalid argument. The message must not quote the argument, because it may be a credential. */
export class UsageError extends CommanderError {
  constructor(message: string) {
    super(EXIT.usageError, "latchkey.usage", message);
  }
}
