/** A problem and its path in the file: keys and indexes from the root. */
export interface Problem {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}
