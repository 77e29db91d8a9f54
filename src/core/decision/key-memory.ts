import type { FamilyCounts } from "../usage/family-counts.ts";

/**
 * What an instance notes on a verified key between its requests. A table for each would cost a look-up in every Check, which a
 * large table makes slow. Nothing here affects a decision.
 */
export interface KeyMemory {
  /** NumericDate of a use that is still to be recorded. */
  usedAt?: number | undefined;
  /** Where the requests of the key's family are counted. */
  counts?: FamilyCounts | undefined;
}
