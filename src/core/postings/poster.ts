import type { PostingStore } from "./posting.ts";
import type { PostingQueue } from "./posting-queue.ts";
import {
  createPostingQueue,
  forgetKept,
  nextPosting,
  replayKept,
  settlePosting,
  waitingIn,
} from "./posting-queue.ts";

export interface PosterOptions<Amount> {
  readonly store: PostingStore<Amount>;
  /** Returns the sum of two amounts. It may change the first one, which the poster owns. */
  readonly merge: (into: Amount, more: Amount) => Amount;
  readonly monotonicMs: () => number;
  /** Called for an amount that will never be counted: too many subjects wait, or its window has ended. */
  readonly onLost?: (amount: Amount, why: LostPosting) => void;
  /** Milliseconds for which a counted posting is kept for {@link Poster.replay}. 0 (default): not at all. */
  readonly keepMs?: number;
  /** Postings per call of the store. 50 by default: Redis runs one script at a time for all instances. */
  readonly batchSize?: number;
  /** Maximum number of waiting subjects and windows, 100,000 by default. */
  readonly maxWaiting?: number;
}

export type LostPosting = "dropped" | "void";

/** Posts what an instance has counted. What waits is in memory and ends with the process. */
export interface Poster<Amount> {
  /** Adds to what waits for a subject and a window. Drops the amount if too much waits. */
  add(subject: string, window: number, amount: Amount): void;
  /**
   * Posts everything that waits now, with one posting per subject on its way. Rejects at the first call without an answer; what
   * was not answered stays, and the next call repeats it. A second call during the first one returns the same promise.
   */
  post(): Promise<void>;
  /** Call it when the store may have lost writes, such as on a new primary: posts what is kept again. */
  replay(): void;
  /** The number of waiting subjects and windows. */
  waiting(): number;
}

const BATCH_SIZE = 50;
const MAX_WAITING = 100_000;

export function createPoster<Amount>(options: PosterOptions<Amount>): Poster<Amount> {
  const { merge, maxWaiting = MAX_WAITING, onLost } = options;
  const queues = new Map<string, PostingQueue<Amount>>();
  let lastNumber = 0;
  let waiting = 0;
  let running: Promise<void> | undefined;
  const postAll = createPostAll(options, {
    queues,
    newNumber: () => ++lastNumber,
    onWaiting(by) {
      waiting += by;
    },
  });
  return {
    add(subject, window, amount) {
      const queue = queues.get(subject);
      const before = queue?.amounts.get(window);
      if (queue !== undefined && before !== undefined) {
        queue.amounts.set(window, merge(before, amount));
        return;
      }
      if (waiting >= maxWaiting) {
        onLost?.(amount, "dropped");
        return;
      }
      waiting++;
      const target = queue ?? createPostingQueue<Amount>(subject);
      if (queue === undefined) queues.set(subject, target);
      target.amounts.set(window, amount);
    },
    post() {
      running ??= postAll().finally(() => {
        running = undefined;
      });
      return running;
    },
    replay() {
      for (const queue of queues.values()) {
        waiting += queue.kept.length;
        replayKept(queue);
      }
    },
    waiting: () => waiting,
  };
}

interface PostingState<Amount> {
  readonly queues: Map<string, PostingQueue<Amount>>;
  readonly newNumber: () => number;
  /** Adds to the number of waiting subjects and windows. */
  onWaiting(by: number): void;
}

function createPostAll<Amount>(
  options: PosterOptions<Amount>,
  state: PostingState<Amount>,
): () => Promise<void> {
  const { monotonicMs, keepMs = 0, batchSize = BATCH_SIZE } = options;
  const { queues } = state;
  const forget = (beforeMs: number) => {
    for (const queue of queues.values()) {
      forgetKept(queue, beforeMs);
      if (waitingIn(queue) === 0 && queue.kept.length === 0) queues.delete(queue.subject);
    }
  };
  return async () => {
    forget(monotonicMs() - keepMs);
    // What is added from now on is posted by the next call.
    const passes = new Map([...queues.values()].map((queue) => [queue, maxPasses(queue)]));
    for (let pass = 0; ; pass++) {
      const due = [...passes].flatMap(([queue, count]) =>
        pass < count && waitingIn(queue) > 0 ? [queue] : [],
      );
      if (due.length === 0) return;
      for (let start = 0; start < due.length; start += batchSize)
        await postBatch(options, state, due.slice(start, start + batchSize));
    }
  };
}

/** One for each posting. If the store is behind, one more shows it, and the kept postings are sent too. */
function maxPasses(queue: PostingQueue<unknown>): number {
  return waitingIn(queue) + (queue.kept.length > 0 ? 1 + queue.kept.length : 0);
}

async function postBatch<Amount>(
  { store, monotonicMs, onLost, keepMs = 0 }: PosterOptions<Amount>,
  { queues, newNumber, onWaiting }: PostingState<Amount>,
  batch: readonly PostingQueue<Amount>[],
): Promise<void> {
  // The next call starts with other subjects, so that one without an answer does not hold up the others.
  for (const queue of batch) {
    queues.delete(queue.subject);
    queues.set(queue.subject, queue);
  }
  const sent = batch.flatMap((queue) => {
    const posting = nextPosting(queue, newNumber);
    return posting === undefined ? [] : [{ queue, posting }];
  });
  const outcomes = await store.post(sent.map(({ posting }) => posting));
  const settled = { nowMs: monotonicMs(), keep: keepMs > 0 };
  for (const [index, { queue, posting }] of sent.entries()) {
    const outcome = outcomes[index];
    if (outcome === undefined) continue;
    const before = waitingIn(queue);
    settlePosting(queue, posting, outcome, settled);
    onWaiting(waitingIn(queue) - before);
    if (outcome === "void") onLost?.(posting.amount, "void");
  }
  const unanswered = sent.filter((_, index) => outcomes[index] === undefined).length;
  if (unanswered > 0) throw new Error(`the store did not answer ${unanswered} postings`);
}
