import type { Posting, PostingOutcome, ScopeOf, SentPosting } from "./posting.ts";

/** The postings of one subject. At most one is on its way. Its lists are short, and an empty one takes no memory of its own. */
export interface PostingQueue<Amount> {
  readonly subject: string;
  /** Amounts without a number, one per window. */
  amounts: readonly WaitingAmount<Amount>[];
  /** Postings without an answer, in the order of their numbers. */
  unanswered: readonly Posting<Amount>[];
  /** Counted postings that are sent again if the store loses them. */
  kept: readonly KeptPosting<Amount>[];
  /** The highest number that was counted. A posting up to it is on its way again. */
  lastCounted: number;
}

interface WaitingAmount<Amount> {
  readonly window: number;
  amount: Amount;
}

interface KeptPosting<Amount> extends Posting<Amount> {
  readonly countedMs: number;
  /** The history of the store when the posting was sent, so an earlier one if it changed before the answer. */
  readonly history: string;
}

const NONE: readonly never[] = [];

export function createPostingQueue<Amount>(subject: string): PostingQueue<Amount> {
  return { subject, amounts: NONE, unanswered: NONE, kept: NONE, lastCounted: 0 };
}

/** Adds to what waits for a window. Returns whether nothing has waited for it. */
export function addAmount<Amount>(
  queue: PostingQueue<Amount>,
  added: WaitingAmount<Amount>,
  merge: (into: Amount, more: Amount) => Amount,
): boolean {
  const waiting = amountOf(queue, added.window);
  if (waiting === undefined) queue.amounts = plus(queue.amounts, added);
  else waiting.amount = merge(waiting.amount, added.amount);
  return waiting === undefined;
}

export function amountOf<Amount>({ amounts }: PostingQueue<Amount>, window: number) {
  return amounts.find((waiting) => waiting.window === window);
}

/** The number of postings that must still be sent. */
export function waitingIn({ unanswered, amounts }: PostingQueue<unknown>): number {
  return unanswered.length + amounts.length;
}

/** The posting to send: one without an answer, unchanged, else the oldest window with a new number. */
export function nextPosting<Amount>(
  queue: PostingQueue<Amount>,
  newNumber: () => number,
  scopeOf: ScopeOf,
): SentPosting<Amount> | undefined {
  const [posting = numberOldest(queue, newNumber)] = queue.unanswered;
  return posting && { ...posting, after: lastKept(queue, scopeOf, scopeOf(posting.window)) };
}

/** The last number of a scope that the store must still have; 0: none. What is not kept cannot be sent again, so it does not matter. */
function lastKept({ kept }: PostingQueue<unknown>, scopeOf: ScopeOf, scope: number): number {
  return kept.reduce(
    (last, { window, number }) => (scopeOf(window) === scope ? Math.max(last, number) : last),
    0,
  );
}

function numberOldest<Amount>(
  queue: PostingQueue<Amount>,
  newNumber: () => number,
): Posting<Amount> | undefined {
  const oldest = Math.min(...queue.amounts.map(({ window }) => window));
  const waiting = amountOf(queue, oldest);
  if (waiting === undefined) return undefined;
  queue.amounts = without(queue.amounts, waiting);
  const { window, amount } = waiting;
  const posting = { subject: queue.subject, number: newNumber(), window, amount };
  queue.unanswered = [posting];
  return posting;
}

/** Applies the answer to a posting that {@link nextPosting} has returned. Returns whether it is the first one that settles it. */
export function settlePosting<Amount>(
  queue: PostingQueue<Amount>,
  { number }: Pick<Posting<Amount>, "number">,
  outcome: PostingOutcome,
  { nowMs, history, keep }: { readonly nowMs: number; readonly history: string; readonly keep: boolean },
): boolean {
  if (outcome === "behind") {
    replayKept(queue);
    return false;
  }
  const isFirst = number > queue.lastCounted;
  const posting = queue.unanswered.find((waiting) => waiting.number === number);
  if (posting !== undefined) queue.unanswered = without(queue.unanswered, posting);
  if (outcome === "counted") queue.lastCounted = Math.max(queue.lastCounted, number);
  if (outcome === "counted" && keep && posting !== undefined)
    queue.kept = plus(queue.kept, keptPosting(posting, nowMs, history));
  return isFirst;
}

/** Half the memory of a spread, and of a time with fractions, which V8 stores apart. */
function keptPosting<Amount>(
  { subject, number, window, amount }: Posting<Amount>,
  nowMs: number,
  history: string,
): KeptPosting<Amount> {
  return { subject, number, window, amount, countedMs: Math.ceil(nowMs), history };
}

/** Sends the kept postings again, in the order of their numbers. A store that still has one of them does not count it twice. */
export function replayKept<Amount>(queue: PostingQueue<Amount>): void {
  queue.unanswered = [...queue.kept, ...queue.unanswered].sort((one, other) => one.number - other.number);
  queue.kept = NONE;
}

/** Sends the kept postings again if the store may lack one of them. */
export function replayOther(queue: PostingQueue<unknown>, history: string): void {
  if (queue.kept.some((kept) => kept.history !== history)) replayKept(queue);
}

/** Forgets the postings that were counted before a time. */
export function forgetKept(queue: PostingQueue<unknown>, beforeMs: number): void {
  if (queue.kept.some(({ countedMs }) => countedMs < beforeMs))
    queue.kept = orNone(queue.kept.filter(({ countedMs }) => countedMs >= beforeMs));
}

/** Forgets all postings that were counted, also those that are sent again. */
export function forgetCounted(queue: PostingQueue<unknown>): void {
  queue.kept = NONE;
  queue.unanswered = orNone(queue.unanswered.filter(({ number }) => number > queue.lastCounted));
}

/** Takes memory for its entries alone: a spread reserves seventeen places. */
function plus<Entry>(list: readonly Entry[], added: Entry): readonly Entry[] {
  return list.length === 0 ? [added] : [...list, added];
}

function without<Entry>(list: readonly Entry[], removed: Entry): readonly Entry[] {
  return orNone(list.filter((entry) => entry !== removed));
}

function orNone<Entry>(list: readonly Entry[]): readonly Entry[] {
  return list.length === 0 ? NONE : list;
}
