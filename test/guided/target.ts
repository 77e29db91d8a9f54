/** Code that reads bytes which nobody has checked, and what must hold for all bytes. */
export interface Target {
  /** Throws if the property does not hold for this input. */
  readonly run: (input: Buffer) => void;
  /** The files below `src/` that are fuzzed. Their coverage is printed. */
  readonly files: readonly string[];
  readonly maxBytes: number;
  /** The most statements for each byte of an input: work that grows faster than the input is a finding. */
  readonly stepsPerByte: number;
  /** Runs of the short search: two to four seconds. */
  readonly runs: number;
}
