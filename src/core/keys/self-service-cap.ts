import type { CommitOutcome } from "./key-change.ts";

/** Keys that are checked before the limit counts as reached, because some of them may have ended. */
const PORTION = 250;
const PORTIONS = 4;

/**
 * Commits. If the limit of self-service keys is reached, releases some keys that no longer count and commits again, so a
 * commit never has to check all keys.
 * @param release checks up to `limit` keys and returns how many it released
 */
export async function commitBelowCap(
  commit: () => CommitOutcome | Promise<CommitOutcome>,
  release: (limit: number) => number | Promise<number>,
): Promise<CommitOutcome> {
  let outcome = await commit();
  for (let portion = 0; portion < PORTIONS && outcome.kind === "full"; portion++) {
    if ((await release(PORTION)) > 0) outcome = await commit();
  }
  return outcome;
}
