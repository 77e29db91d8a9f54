import type { Posting, PostingOutcome, ScopeOf, SentPosting } from "./posting.ts";

/** The postings of one subject. At most one is on its way. Its lists are short and linked: an array would take 56 bytes more. */
export interface PostingQueue<Amount> {
  readonly subject: string;
  /** Amounts without a number, one per window. */
  waiting: WaitingAmount<Amount> | undefined;
  /** Postings without an answer, in the order of their numbers. */
  unanswered: readonly Posting<Amount>[];
  /** The last counted posting of those that are sent again if the store loses them. */
  kept: KeptPosting<Amount> | undefined;
  /** The highest number that was counted. A posting up to it is on its way again. */
  lastCounted: number;
}

interface WaitingAmount<Amount> {
  readonly window: number;
  amount: Amount;
  next: WaitingAmount<Amount> | undefined;
}

interface KeptPosting<Amount> extends Posting<Amount> {
  readonly countedMs: number;
  /** The history of the store when the posting was sent, so an earlier one if it changed before the answer. */
  readonly history: string;
  /** The one that was counted before. */
  next: KeptPosting<Amount> | undefined;
}

const NONE: readonly never[] = [];

export function createPostingQueue<Amount>(subject: string): PostingQueue<Amount> {
  return { subject, waiting: undefined, unanswered: NONE, kept: undefined, lastCounted: 0 };
}

/** Adds to what waits for a window. Returns whether nothing has waited for it. */
export function addAmount<Amount>(
  queue: PostingQueue<Amount>,
  { window, amount }: { readonly window: number; readonly amount: Amount },
  merge: (into: Amount, more: Amount) => Amount,
): boolean {
  const waiting = amountOf(queue, window);
  if (waiting === undefined) queue.waiting = { window, amount, next: queue.waiting };
  else waiting.amount = merge(waiting.amount, amount);
  return waiting === undefined;
}

export function amountOf<Amount>({ waiting }: PostingQueue<Amount>, window: number) {
  return listed(waiting).find((amount) => amount.window === window);
}

/** The number of postings that must still be sent. */
export function waitingIn({ unanswered, waiting }: PostingQueue<unknown>): number {
  return unanswered.length + listed(waiting).length;
}

export function keptIn({ kept }: PostingQueue<unknown>): number {
  return listed(kept).length;
}

/** The posting to send: one without an answer, unchanged, else the oldest window with a new number. */
export function nextPosting<Amount>(
  queue: PostingQueue<Amount>,
  newNumber: () => number,
  scopeOf: ScopeOf,
): SentPosting<Amount> | undefined {
  const [posting = numberOldest(queue, newNumber)] = queue.unanswered;
  if (posting === undefined) return undefined;
  const { subject, number, window, amount } = posting;
  return { subject, number, window, amount, after: lastKept(queue, scopeOf, scopeOf(window)) };
}

/** The last number of a scope that the store must still have; 0: none. What is not kept cannot be sent again, so it does not matter. */
function lastKept({ kept }: PostingQueue<unknown>, scopeOf: ScopeOf, scope: number): number {
  return listed(kept).reduce(
    (last, { window, number }) => (scopeOf(window) === scope ? Math.max(last, number) : last),
    0,
  );
}

function numberOldest<Amount>(
  queue: PostingQueue<Amount>,
  newNumber: () => number,
): Posting<Amount> | undefined {
  const all = listed(queue.waiting);
  const [first] = all;
  if (first === undefined) return undefined;
  const oldest = all.reduce((one, other) => (other.window < one.window ? other : one), first);
  queue.waiting = linked(all.filter((waiting) => waiting !== oldest));
  const { window, amount } = oldest;
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
  queue.unanswered = orNone(queue.unanswered.filter((waiting) => waiting !== posting));
  if (outcome === "counted") queue.lastCounted = Math.max(queue.lastCounted, number);
  if (outcome === "counted" && keep && posting !== undefined) {
    const { subject, window, amount } = posting;
    // V8 stores a time with fractions apart.
    const countedMs = Math.ceil(nowMs);
    queue.kept = { subject, number, window, amount, countedMs, history, next: queue.kept };
  }
  return isFirst;
}

/** Sends the kept postings again, in the order of their numbers. A store that still has one of them does not count it twice. */
export function replayKept<Amount>(queue: PostingQueue<Amount>): void {
  const again = [...listed(queue.kept), ...queue.unanswered];
  queue.unanswered = again.sort((one, other) => one.number - other.number);
  queue.kept = undefined;
}

/** Sends the kept postings again if the store may lack one of them. */
export function replayOther(queue: PostingQueue<unknown>, history: string): void {
  if (listed(queue.kept).some((kept) => kept.history !== history)) replayKept(queue);
}

/** Forgets the postings that were counted before a time. */
export function forgetKept(queue: PostingQueue<unknown>, beforeMs: number): void {
  const kept = listed(queue.kept);
  if (kept.some(({ countedMs }) => countedMs < beforeMs))
    queue.kept = linked(kept.filter(({ countedMs }) => countedMs >= beforeMs));
}

/** Forgets all postings that were counted, also those that are sent again. */
export function forgetCounted(queue: PostingQueue<unknown>): void {
  queue.kept = undefined;
  queue.unanswered = orNone(queue.unanswered.filter(({ number }) => number > queue.lastCounted));
}

interface Link<Entry> {
  next: Entry | undefined;
}

function listed<Entry extends Link<Entry>>(first: Entry | undefined): readonly Entry[] {
  if (first === undefined) return NONE;
  const list = [first];
  for (let entry = first.next; entry !== undefined; entry = entry.next) list.push(entry);
  return list;
}

/** Links the entries in their order. Returns the first one. */
function linked<Entry extends Link<Entry>>(list: readonly Entry[]): Entry | undefined {
  for (const [index, entry] of list.entries()) entry.next = list[index + 1];
  return list[0];
}

function orNone<Entry>(list: readonly Entry[]): readonly Entry[] {
  return list.length === 0 ? NONE : list;
}
