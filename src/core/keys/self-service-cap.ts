import type { CommitOutcome } from "./key-change.ts";

/** Keys that are looked at before a store says that it is full: some of them may have ended. */
const PORTION = 250;
const PORTIONS = 4;

/**
 * Commits, and where as many self-service keys are there as may be, takes out some that count no more and commits again. So
 * whoever finds it full makes room for the next one, and a commit never has to look through all of them.
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
