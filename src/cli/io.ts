/** What a command has of the world. */
export interface Io {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** A line for whoever reads the result. */
  readonly print: (text: string) => void;
  /** A line for whoever watches. */
  readonly printError: (text: string) => void;
  /** Why what is printed would be lost, as far as that can be known before; undefined where it would not. */
  readonly outputProblem?: () => string | undefined;
  /** Writes as it is to the terminal of whoever watches; absent where there is none. */
  readonly terminal?: (text: string) => void;
}
