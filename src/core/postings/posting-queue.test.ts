import { describe, expect, test } from "vitest";
import type { PostingOutcome, SentPosting } from "./posting.ts";
import type { PostingQueue } from "./posting-queue.ts";
import {
  addAmount,
  amountOf,
  createPostingQueue,
  forgetCounted,
  forgetKept,
  keptIn,
  nextPosting,
  replayKept,
  replayOther,
  settlePosting,
  waitingIn,
} from "./posting-queue.ts";

/** Two windows share a scope. */
const scopeOf = (window: number) => Math.floor(window / 2);

/** A queue of the subject "a", whose postings are numbered from 1. */
function start(amounts: readonly (readonly [window: number, amount: number])[] = []) {
  const queue = createPostingQueue<number>("a");
  let lastNumber = 0;
  const add = (window: number, amount: number) =>
    addAmount(queue, { window, amount }, (into, more) => into + more);
  const next = () => nextPosting(queue, () => ++lastNumber, scopeOf);
  const settle = (number: number, outcome: PostingOutcome, more: object = {}) =>
    settlePosting(queue, { number }, outcome, { nowMs: 0, history: "h", keep: true, ...more });
  /** Posts everything, and the store counts it. */
  const count = (more: object = {}) => {
    for (let posting = next(); posting !== undefined; posting = next())
      settle(posting.number, "counted", more);
  };
  for (const [window, amount] of amounts) add(window, amount);
  return { queue, add, next, settle, count };
}

const isEmpty = (queue: PostingQueue<number>) => waitingIn(queue) === 0 && keptIn(queue) === 0;
const numbers = (postings: readonly (SentPosting<number> | undefined)[]) =>
  postings.map((posting) => posting?.number);

describe("what waits", () => {
  test("is one amount per window, to which later ones are added", () => {
    const { queue, add } = start();
    expect([add(1, 5), add(2, 3), add(1, 4)]).toEqual([true, true, false]);
    expect([amountOf(queue, 1)?.amount, amountOf(queue, 2)?.amount]).toEqual([9, 3]);
    expect(amountOf(queue, 3)).toBeUndefined();
    expect(waitingIn(queue)).toBe(2);
  });

  test("is sent by window, the oldest first, whatever the order in which it was added", () => {
    const { queue, next, settle } = start([
      [2, 20],
      [1, 10],
      [4, 40],
      [3, 30],
    ]);
    for (const [number, window] of [1, 2, 3, 4].entries()) {
      expect(next()).toMatchObject({ subject: "a", number: number + 1, window, amount: window * 10 });
      expect(waitingIn(queue)).toBe(4 - number);
      settle(number + 1, "counted");
    }
    expect(next()).toBeUndefined();
  });

  test("is sent unchanged until it has an answer, and what is added meanwhile has another number", () => {
    const { add, next, settle } = start([[1, 5]]);
    const first = next();
    expect(add(1, 2)).toBe(true);
    expect(next()).toEqual(first);
    settle(1, "counted");
    expect(next()).toMatchObject({ number: 2, window: 1, amount: 2 });
  });
});

describe("an answer", () => {
  test.each(["counted", "void"] as const)("%s settles a posting once", (outcome) => {
    const { queue, next, settle } = start([[1, 5]]);
    next();
    expect(settle(1, outcome)).toBe(true);
    expect(waitingIn(queue)).toBe(0);
    expect(next()).toBeUndefined();
  });

  test("settles no posting a second time that was counted before", () => {
    const { queue, next, settle, count } = start([[1, 5]]);
    count();
    replayKept(queue);
    expect(next()).toMatchObject({ number: 1 });
    expect(settle(1, "void")).toBe(false);
    expect(isEmpty(queue)).toBe(true);
  });

  test("of an earlier posting does not make a later one count as new", () => {
    const { queue, next, settle, count } = start([
      [1, 5],
      [2, 3],
    ]);
    count();
    replayKept(queue);
    next();
    expect(settle(1, "counted")).toBe(false);
    next();
    expect(settle(2, "counted")).toBe(false);
  });

  test.each([
    ["counted, to be kept", "counted", true, 1],
    ["counted, not to be kept", "counted", false, 0],
    ["void", "void", true, 0],
  ] as const)("%s keeps %s postings", (_, outcome, keep, kept) => {
    const { queue, next, settle } = start([[1, 5]]);
    next();
    settle(1, outcome, { keep });
    expect(keptIn(queue)).toBe(kept);
  });

  test("to a posting that was forgotten meanwhile keeps nothing", () => {
    const { queue, next, settle, count } = start([[1, 5]]);
    count();
    replayKept(queue);
    next();
    forgetCounted(queue);
    settle(1, "counted");
    expect(isEmpty(queue)).toBe(true);
  });

  test("to a posting that was forgotten meanwhile settles no other one", () => {
    const { queue, add, next, settle, count } = start([[1, 5]]);
    count();
    add(2, 3);
    next();
    settle(2, "behind");
    expect(next()).toMatchObject({ number: 1 });
    forgetCounted(queue);
    settle(1, "counted");
    expect(next()).toMatchObject({ number: 2, amount: 3 });
  });

  test("behind sends what is kept again before the posting, by number, and settles nothing", () => {
    const { queue, add, next, settle, count } = start([
      [1, 5],
      [2, 3],
    ]);
    count();
    add(3, 1);
    expect(next()).toMatchObject({ number: 3, after: 2 });
    expect(settle(3, "behind")).toBe(false);
    expect([waitingIn(queue), keptIn(queue)]).toEqual([3, 0]);
    const again = [1, 2, 3].map((number) => {
      const posting = next();
      settle(number, "counted", { keep: false });
      return posting;
    });
    expect(again).toEqual([
      { subject: "a", number: 1, window: 1, amount: 5, after: 0 },
      { subject: "a", number: 2, window: 2, amount: 3, after: 0 },
      { subject: "a", number: 3, window: 3, amount: 1, after: 0 },
    ]);
  });
});

test("a posting follows the last kept one of its scope, and none of another scope", () => {
  const { add, next, settle, count } = start([
    [2, 1],
    [3, 1],
    [4, 1],
  ]);
  count();
  const after: unknown[] = [];
  for (const window of [0, 2, 3, 4, 9]) {
    add(window, 1);
    const { number, after: last } = next() ?? expect.unreachable();
    after.push([window, last]);
    settle(number, "counted", { keep: false });
  }
  expect(after).toEqual([
    [0, 0],
    [2, 2],
    [3, 2],
    [4, 3],
    [9, 0],
  ]);
});

describe("what is kept", () => {
  test("is sent again only if one of it belongs to another history", () => {
    const { queue, add, next, count } = start([[1, 5]]);
    count({ history: "first" });
    replayOther(queue, "first");
    expect([waitingIn(queue), keptIn(queue)]).toEqual([0, 1]);
    add(2, 3);
    count({ history: "second" });
    replayOther(queue, "second");
    expect([waitingIn(queue), keptIn(queue)]).toEqual([2, 0]);
    expect(next()).toMatchObject({ number: 1, after: 0 });
  });

  test("is forgotten by the time of its answer, and never early", () => {
    const { queue, add, count } = start([[1, 5]]);
    count({ nowMs: 999.1 });
    add(2, 3);
    count({ nowMs: 2000 });
    const keptFrom = (beforeMs: number) => {
      forgetKept(queue, beforeMs);
      return keptIn(queue);
    };
    expect([999.5, 1000, 1000.5, 2000, 2001].map(keptFrom)).toEqual([2, 2, 1, 1, 0]);
  });

  test("in part, still has its other postings", () => {
    const { queue, add, next, settle, count } = start();
    for (const window of [1, 2, 3]) {
      add(window, window);
      count({ nowMs: window === 2 ? 0 : 1000 });
    }
    forgetKept(queue, 1000);
    replayKept(queue);
    const again = [1, 3].map((number) => {
      const posting = next();
      settle(number, "counted");
      return posting;
    });
    expect(numbers(again)).toEqual([1, 3]);
  });

  test("is forgotten with a reset, also what is sent again, and what was never counted is not", () => {
    const { queue, add, next, settle, count } = start([[1, 5]]);
    count();
    add(2, 3);
    next();
    settle(2, "behind");
    expect(waitingIn(queue)).toBe(2);
    forgetCounted(queue);
    expect([waitingIn(queue), keptIn(queue)]).toEqual([1, 0]);
    expect(next()).toMatchObject({ number: 2, amount: 3 });
    settle(2, "counted");
    expect(keptIn(queue)).toBe(1);
    forgetCounted(queue);
    expect(isEmpty(queue)).toBe(true);
  });
});
