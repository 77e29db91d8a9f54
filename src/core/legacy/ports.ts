/** How many V1 keys of a role there are, and how many were used since each of the moments that were asked for. */
export interface LegacyUse {
  readonly keys: number;
  readonly used: readonly number[];
  /** Those of them that were not exchanged for V2 keys yet. */
  readonly unmigrated: { readonly keys: number; readonly used: readonly number[] };
}
