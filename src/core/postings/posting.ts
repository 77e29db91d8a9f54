/**
 * What one instance has counted for one subject in one window. A store counts each posting at most once, so an instance repeats
 * it unchanged until it has an answer.
 */
export interface Posting<Amount> {
  readonly subject: string;
  /** From 1. Each posting of an instance has a higher number than the one before, over all subjects. */
  readonly number: number;
  /** What the amount belongs to, such as the start of an hour. Its owner defines the unit. */
  readonly window: number;
  readonly amount: Amount;
}

/** A posting on its way to the store. */
export interface SentPosting<Amount> extends Posting<Amount> {
  /** The number up to which this instance's postings of the subject and the scope were counted; 0 if it does not matter. */
  readonly after: number;
}

/** Maps a window to its scope, such as an hour to its day: a store keeps the numbers of each scope apart. */
export type ScopeOf = (window: number) => number;

/**
 * - `counted`: the store has counted it, now or when it was sent before.
 * - `void`: its window has ended, so it will never be counted.
 * - `behind`: not counted, because the store lacks a posting that it had counted: it has lost writes.
 */
export type PostingOutcome = "counted" | "void" | "behind";

export interface PostingStore<Amount> {
  /**
   * Counts postings of different subjects. Returns the outcomes in the same order; undefined for a posting without an answer, which
   * may have been counted. Rejects if there is no answer at all.
   */
  post(postings: readonly SentPosting<Amount>[]): Promise<readonly (PostingOutcome | undefined)[]>;
  /**
   * Names the history of writes to which the next posting of a subject is added. It differs as soon as the store may lack postings
   * of the subject that were counted before. Without it, only `Poster.replay` says so.
   */
  historyOf?(subject: string): string;
}

/**
 * What a store does with a posting whose window is open. It keeps the number of the last posting that it counted, per instance,
 * subject and scope, for at least as long as the posting's window is open. 0: none. Scripts in Lua follow the same rule.
 */
export function judgePosting(
  lastNumber: number,
  { number, after }: Pick<SentPosting<unknown>, "number" | "after">,
): "count" | "repeat" | "behind" {
  if (number <= lastNumber) return "repeat";
  return lastNumber < after ? "behind" : "count";
}
