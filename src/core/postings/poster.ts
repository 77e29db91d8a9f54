import { memoize } from "../cache/memoize.ts";
import type { PostingStore, ScopeOf } from "./posting.ts";
import type { PostingQueue } from "./posting-queue.ts";
import {
  addAmount,
  amountOf,
  createPostingQueue,
  forgetCounted,
  forgetKept,
  keptIn,
  nextPosting,
  replayOther,
  settlePosting,
  waitingIn,
} from "./posting-queue.ts";

export interface PosterOptions<Amount> {
  readonly store: PostingStore<Amount>;
  /** Returns the sum of two amounts. It may change the first one, which the poster owns. */
  readonly merge: (into: Amount, more: Amount) => Amount;
  readonly monotonicMs: () => number;
  /** The scopes of the store's numbers. Other scopes would make the store seem to have lost writes, or hide that it has. */
  readonly scopeOf: ScopeOf;
  /** Called once for each amount that was counted, also if it is posted again later. */
  readonly onCounted?: (amount: Amount) => void;
  /** Called for an amount that will never be counted: too many subjects wait, or its window has ended. */
  readonly onLost?: (amount: Amount, why: LostPosting) => void;
  /** Milliseconds for which a counted posting is kept for {@link Poster.replay}. 0 (default): not at all. */
  readonly keepMs?: number;
  /** Maximum number of kept postings, 100,000 by default. Further ones are counted, and not kept. */
  readonly maxKept?: number;
  /** Postings per call of the store. 50 by default: Redis runs one script at a time for all instances. */
  readonly batchSize?: number;
  /** Maximum number of waiting subjects and windows, 100,000 by default. */
  readonly maxWaiting?: number;
  /** Lets other work of the process run. Called once per batch of subjects, which costs well under 1 ms. */
  readonly nextTurn?: () => Promise<unknown>;
}

export type LostPosting = "dropped" | "void";

/** Posts what an instance has counted. What waits is in memory and ends with the process. */
export interface Poster<Amount> {
  /** Adds to what waits for a subject and a window. Drops the amount if too much waits. */
  add(subject: string, window: number, amount: Amount): void;
  /**
   * Posts everything that waits now, with one posting per subject on its way. Rejects if something was not answered: it stays,
   * and the next call repeats it. Stops at a batch without any answer. A second call during the first one returns the same promise.
   */
  post(): Promise<void>;
  /** Call it when the store may have lost writes, such as on a new primary: posts what is kept again. */
  replay(): void;
  /** Forgets what was counted of a subject, because its amount in the store was reset. */
  forget(subject: string): void;
  /** The number of waiting subjects and windows. */
  waiting(): number;
}

const BATCH_SIZE = 50;
const MAX_WAITING = 100_000;
const MAX_KEPT = 100_000;

/** What the functions below share. */
interface PostingState<Amount> {
  /** Subjects that wait or have kept postings. */
  readonly queues: Map<string, PostingQueue<Amount>>;
  /** The number of queues that the last call has visited before it stopped; 0 if it has visited all. */
  visited: number;
  waiting: number;
  kept: number;
  lastNumber: number;
  /** A posting that was sent before the last replay is posted again when its turn comes. */
  replays: number;
  /** Kept postings share the names of histories, of which there are few. */
  readonly shared: (name: string) => string;
}

export function createPoster<Amount>(options: PosterOptions<Amount>): Poster<Amount> {
  const { merge, maxWaiting = MAX_WAITING, onLost } = options;
  const state: PostingState<Amount> = {
    queues: new Map(),
    visited: 0,
    waiting: 0,
    kept: 0,
    lastNumber: 0,
    replays: 0,
    shared: memoize(64, (name) => name),
  };
  const { queues } = state;
  let running: Promise<void> | undefined;
  return {
    add(subject, window, amount) {
      const queue = queues.get(subject);
      const isNew = queue === undefined || amountOf(queue, window) === undefined;
      if (isNew && state.waiting >= maxWaiting) {
        onLost?.(amount, "dropped");
        return;
      }
      const target = queue ?? createPostingQueue<Amount>(subject);
      if (queue === undefined) queues.set(subject, target);
      if (addAmount(target, { window, amount }, merge)) state.waiting++;
    },
    post() {
      running ??= postAll(options, state).finally(() => {
        running = undefined;
      });
      return running;
    },
    replay() {
      state.replays++;
    },
    forget(subject) {
      const queue = queues.get(subject);
      if (queue !== undefined) changeQueue(state, queue, () => forgetCounted(queue));
    },
    waiting: () => state.waiting,
  };
}

async function postAll<Amount>(options: PosterOptions<Amount>, state: PostingState<Amount>): Promise<void> {
  const { batchSize = BATCH_SIZE, nextTurn } = options;
  const queues = [...state.queues.values()];
  // After a stop, those that it has not visited come first. A queue that moved to the end of the map would double the map's memory.
  const turns = [...queues.slice(state.visited), ...queues.slice(0, state.visited)];
  let unanswered = 0;
  for (let at = 0; at < turns.length; at += batchSize) {
    const visited = turns.slice(at, at + batchSize);
    state.visited = (state.visited + visited.length) % turns.length;
    const due = visited.filter((queue) => isDue(options, state, queue));
    unanswered += await postQueues(options, state, due);
    await nextTurn?.();
  }
  state.visited = 0;
  if (unanswered > 0) throw noAnswer(unanswered);
}

/** Whether the queue must post something. Forgets it if it has nothing. */
function isDue<Amount>(
  { store, monotonicMs, keepMs = 0 }: PosterOptions<Amount>,
  state: PostingState<Amount>,
  queue: PostingQueue<Amount>,
): boolean {
  changeQueue(state, queue, () => {
    forgetKept(queue, monotonicMs() - keepMs);
    if (queue.kept !== undefined) replayOther(queue, historyOf(store, state, queue.subject));
  });
  const isDue = waitingIn(queue) > 0;
  if (!isDue && queue.kept === undefined) state.queues.delete(queue.subject);
  return isDue;
}

/** The history of writes of a subject, as the store names it, and as replays divide it. */
function historyOf<Amount>(
  store: PostingStore<Amount>,
  { replays, shared }: PostingState<Amount>,
  subject: string,
): string {
  return shared(`${replays} ${store.historyOf?.(subject) ?? ""}`);
}

/** Keeps the totals of all queues. */
function changeQueue<Amount, Result>(
  state: PostingState<Amount>,
  queue: PostingQueue<Amount>,
  change: () => Result,
): Result {
  state.waiting -= waitingIn(queue);
  state.kept -= keptIn(queue);
  const result = change();
  state.waiting += waitingIn(queue);
  state.kept += keptIn(queue);
  return result;
}

/** Posts what these queues have now. What is added meanwhile waits for the next call. Returns the number of those without an answer. */
async function postQueues<Amount>(
  options: PosterOptions<Amount>,
  state: PostingState<Amount>,
  queues: readonly PostingQueue<Amount>[],
): Promise<number> {
  let unanswered = 0;
  const passes = new Map(queues.map((queue) => [queue, maxPasses(queue)]));
  for (let pass = 0; ; pass++) {
    const due = [...passes].flatMap(([queue, count]) =>
      pass < count && waitingIn(queue) > 0 ? [queue] : [],
    );
    if (due.length === 0) return unanswered;
    const again = await postBatch(options, state, due);
    for (const queue of again) passes.delete(queue);
    unanswered += again.length;
  }
}

/** One for each posting. If the store is behind, one more shows it, and the kept postings are sent too. */
function maxPasses(queue: PostingQueue<unknown>): number {
  return waitingIn(queue) + (queue.kept === undefined ? 0 : 1 + keptIn(queue));
}

/** Returns the queues without an answer. Rejects if no queue has one. */
async function postBatch<Amount>(
  { store, monotonicMs, scopeOf, onCounted, onLost, keepMs = 0, maxKept = MAX_KEPT }: PosterOptions<Amount>,
  state: PostingState<Amount>,
  queues: readonly PostingQueue<Amount>[],
): Promise<readonly PostingQueue<Amount>[]> {
  const sent = queues.flatMap((queue) => {
    const posting = nextPosting(queue, () => ++state.lastNumber, scopeOf);
    // Named before it is sent: whatever happens meanwhile, an answer of a lost history is known as such.
    return posting === undefined ? [] : [{ queue, posting, history: historyOf(store, state, queue.subject) }];
  });
  const outcomes = await store.post(sent.map(({ posting }) => posting));
  const nowMs = monotonicMs();
  for (const [index, { queue, posting, history }] of sent.entries()) {
    const outcome = outcomes[index];
    if (outcome === undefined) continue;
    const keep = keepMs > 0 && state.kept < maxKept;
    const settled = () => settlePosting(queue, posting, outcome, { nowMs, history, keep });
    if (!changeQueue(state, queue, settled)) continue;
    if (outcome === "void") onLost?.(posting.amount, "void");
    else onCounted?.(posting.amount);
  }
  const unanswered = sent.filter((_, index) => outcomes[index] === undefined);
  // The store of all of them is unavailable. Others may have one that responds.
  if (unanswered.length > 0 && unanswered.length === sent.length) throw noAnswer(unanswered.length);
  return unanswered.map(({ queue }) => queue);
}

function noAnswer(postings: number): Error {
  return new Error(`the store did not answer ${postings} postings`);
}
