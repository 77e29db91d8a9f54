/** The environment and the output of a command. */
export interface Io {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Prints a line of the result to stdout. */
  readonly print: (text: string) => void;
  /** Prints a message to stderr. */
  readonly printError: (text: string) => void;
  /** Why output to stdout would be lost, as far as that is known before writing. Undefined if it would not. */
  readonly outputProblem?: () => string | undefined;
  /** Writes unchanged text to the terminal on stderr. Absent if stderr is not a terminal. */
  readonly terminal?: (text: string) => void;
}
