import { expect, test } from "vitest";
import { createPostingStore, KEEP_MS, post, posterOf, scopeOf } from "../../../test/support/posting-store.ts";
import type { Poster } from "./poster.ts";
import { createPoster } from "./poster.ts";
import type { SentPosting } from "./posting.ts";

test("each posting is reported as counted or lost once, however often it is posted", async () => {
  const store = createPostingStore();
  const events: unknown[] = [];
  const poster = posterOf(store, "i", {
    keepMs: KEEP_MS,
    onCounted: (amount) => events.push(["counted", amount]),
    onLost: (amount, why) => events.push([why, amount]),
  });
  const empty = store.snapshot();
  poster.add("a", 1, 5);
  await poster.post();
  for (const openFrom of [0, 2]) {
    store.restore(empty);
    store.openFrom(openFrom);
    poster.replay();
    await poster.post();
  }
  expect(events).toEqual([["counted", 5]]);
});

test("a posting whose server is replaced before its reply is posted again once that is noticed", async () => {
  const store = createPostingStore();
  const poster = posterOf(store, "i", { keepMs: KEEP_MS });
  const empty = store.snapshot();
  store.onFailover(() => {
    store.restore(empty);
    store.nameOther();
  });
  store.fail("failover");
  poster.add("a", 1, 5);
  await poster.post();
  store.fail("none");
  await poster.post();
  expect(store.counted("a")).toBe(5);
});

test("what was posted before a reset is not posted again", async () => {
  const store = createPostingStore();
  const poster = posterOf(store, "i", { keepMs: KEEP_MS });
  const empty = store.snapshot();
  poster.add("a", 1, 5);
  await poster.post();
  poster.forget("a");
  store.restore(empty);
  poster.replay();
  poster.add("a", 1, 2);
  await poster.post();
  expect(store.counted("a")).toBe(2);
});

test("what waits to be posted again is forgotten with a reset, and what was never counted is not", async () => {
  const store = createPostingStore();
  const poster = posterOf(store, "i", { keepMs: KEEP_MS });
  const empty = store.snapshot();
  poster.add("a", 1, 5);
  await poster.post();
  // A new primary lacks it, and does not respond at first.
  store.restore(empty);
  poster.replay();
  store.fail("request");
  poster.add("a", 1, 2);
  await post(poster);
  store.fail("none");
  poster.forget("a");
  await poster.post();
  expect(store.counted("a")).toBe(2);
  expect(poster.waiting()).toBe(0);
});

test("a posting whose reply was lost is repeated unchanged, and counts once", async () => {
  const store = createPostingStore();
  const sent: SentPosting<number>[] = [];
  const real = store.storeOf("i");
  const poster = posterOf(store, "i", {
    store: {
      post(postings) {
        sent.push(...postings);
        return real.post(postings);
      },
    },
  });
  poster.add("a", 1, 5);
  store.fail("reply");
  await expect(poster.post()).rejects.toThrow("the reply is lost");
  poster.add("a", 1, 2);
  store.fail("none");
  await poster.post();
  expect(sent.map(({ number, amount }) => [number, amount])).toEqual([
    [1, 5],
    [1, 5],
    [2, 2],
  ]);
  expect(store.counted("a")).toBe(7);
});

test("what is added during a call waits for the next one", async () => {
  const sent: number[] = [];
  const poster: Poster<number> = posterOf(createPostingStore(), "i", {
    store: {
      async post(postings) {
        sent.push(...postings.map(({ amount }) => amount));
        poster.add("a", 1, 10);
        return postings.map(() => "counted");
      },
    },
  });
  poster.add("a", 1, 5);
  await poster.post();
  expect([sent, poster.waiting()]).toEqual([[5], 1]);
  await poster.post();
  expect(sent).toEqual([5, 10]);
});

test("the store is called only with postings, also while others are kept", async () => {
  const store = createPostingStore();
  const real = store.storeOf("i");
  const calls: number[] = [];
  const poster = posterOf(store, "i", {
    keepMs: KEEP_MS,
    store: {
      post(postings) {
        calls.push(postings.length);
        return real.post(postings);
      },
    },
  });
  for (let call = 0; call < 3; call++) {
    for (const subject of ["a", "b"]) poster.add(subject, 1, 1);
    await poster.post();
    await poster.post();
  }
  expect(calls).toEqual([2, 2, 2]);
});

test("what is kept is posted again after a loss, also after calls that had nothing to post", async () => {
  const store = createPostingStore();
  const poster = posterOf(store, "i", { keepMs: KEEP_MS });
  const empty = store.snapshot();
  poster.add("a", 1, 5);
  for (let call = 0; call < 3; call++) await poster.post();
  store.restore(empty);
  poster.replay();
  await poster.post();
  expect(store.counted("a")).toBe(5);
});

test("a subject that has nothing to post is forgotten, and a reset of an unknown one does nothing", async () => {
  let batches = 0;
  const poster = posterOf(createPostingStore(), "i", { nextTurn: async () => batches++ });
  poster.add("a", 1, 5);
  poster.forget("unknown");
  const visits = async () => {
    batches = 0;
    await poster.post();
    return batches;
  };
  expect([await visits(), await visits(), await visits()]).toEqual([1, 1, 0]);
});

test("an instance without keepMs posts nothing again", async () => {
  const store = createPostingStore();
  const poster = posterOf(store, "i");
  const empty = store.snapshot();
  poster.add("a", 1, 5);
  await poster.post();
  store.restore(empty);
  poster.replay();
  poster.add("a", 1, 2);
  await poster.post();
  expect(store.counted("a")).toBe(2);
});

test("what was counted longer ago than keepMs is not kept", async () => {
  const store = createPostingStore();
  const clock = { nowMs: 0 };
  const poster = posterOf(store, "i", { keepMs: KEEP_MS, monotonicMs: () => clock.nowMs });
  const empty = store.snapshot();
  poster.add("a", 1, 5);
  await poster.post();
  clock.nowMs = KEEP_MS + 1;
  await poster.post();
  store.restore(empty);
  poster.replay();
  await poster.post();
  expect(store.counted("a")).toBe(0);
});

test("beyond the maximum of kept postings, further ones are counted and not kept", async () => {
  const store = createPostingStore();
  const clock = { nowMs: 0 };
  const options = { keepMs: KEEP_MS, maxKept: 2, monotonicMs: () => clock.nowMs };
  const poster = posterOf(store, "i", options);
  const empty = store.snapshot();
  const postAll = async () => {
    for (const subject of ["a", "b", "c"]) poster.add(subject, 1, 1);
    await poster.post();
    const counted = ["a", "b", "c"].map(store.counted);
    store.restore(empty);
    poster.replay();
    await poster.post();
    return { counted, again: ["a", "b", "c"].map(store.counted) };
  };
  expect(await postAll()).toEqual({ counted: [1, 1, 1], again: [1, 1, 0] });
  clock.nowMs = KEEP_MS + 1;
  store.restore(empty);
  await poster.post();
  // The kept ones are forgotten, so there is space for others.
  expect((await postAll()).again.filter((count) => count === 1)).toHaveLength(2);
});

test("a posting for a window that has ended is void and reported", async () => {
  const store = createPostingStore();
  const lost: unknown[] = [];
  const poster = posterOf(store, "i", { onLost: (amount, why) => lost.push([amount, why]) });
  store.openFrom(2);
  poster.add("a", 1, 5);
  poster.add("a", 2, 3);
  await poster.post();
  expect(lost).toEqual([[5, "void"]]);
  expect(store.counted("a")).toBe(3);
  expect(poster.waiting()).toBe(0);
});

test("a loss that no part of the instance asks for is no fault", async () => {
  const store = createPostingStore();
  const poster = posterOf(store, "i", { maxWaiting: 1 });
  store.openFrom(2);
  for (const window of [1, 2]) poster.add("a", window, 5);
  await poster.post();
  expect([poster.waiting(), store.counted("a")]).toEqual([0, 0]);
});

test("beyond the maximum, a further window of a waiting subject is dropped", async () => {
  const lost: unknown[] = [];
  const poster = posterOf(createPostingStore(), "i", {
    maxWaiting: 1,
    onLost: (amount, why) => lost.push([amount, why]),
  });
  for (const window of [1, 2, 1]) poster.add("a", window, window);
  expect([lost, poster.waiting()]).toEqual([[[2, "dropped"]], 1]);
});

test("beyond the maximum of waiting subjects an amount is dropped and reported, and waiting subjects go on", async () => {
  const store = createPostingStore();
  const lost: unknown[] = [];
  const poster = posterOf(store, "i", { maxWaiting: 2, onLost: (amount, why) => lost.push([amount, why]) });
  for (const subject of ["a", "b", "c", "a"]) poster.add(subject, 1, 1);
  expect(lost).toEqual([[1, "dropped"]]);
  await poster.post();
  poster.add("c", 1, 1);
  await poster.post();
  expect(["a", "b", "c"].map(store.counted)).toEqual([2, 1, 1]);
});

test("a subject without an answer does not hold up the others", async () => {
  const store = createPostingStore();
  const real = store.storeOf("i");
  const poster = posterOf(store, "i", {
    store: {
      async post(postings) {
        const outcomes = await real.post(postings.filter(({ subject }) => subject !== "a"));
        let next = 0;
        return postings.map(({ subject }) => (subject === "a" ? undefined : outcomes[next++]));
      },
    },
  });
  for (const subject of ["a", "b", "c", "d"]) poster.add(subject, 1, 1);
  for (let turn = 0; turn < 2; turn++) {
    await expect(poster.post()).rejects.toThrow("did not answer 1 postings");
    expect(["b", "c", "d"].map(store.counted)).toEqual([1, 1, 1]);
  }
  expect(poster.waiting()).toBe(1);
});

test("a subject without an answer is posted once per call, whatever else it has", async () => {
  const sent: unknown[] = [];
  const poster = posterOf(createPostingStore(), "i", {
    store: {
      async post(postings) {
        sent.push(...postings.map(({ subject, window }) => `${subject}${window}`));
        return postings.map(({ subject }) => (subject === "a" ? undefined : "counted"));
      },
    },
  });
  for (const subject of ["a", "b"]) for (const window of [1, 2]) poster.add(subject, window, 1);
  await expect(poster.post()).rejects.toThrow("did not answer 1 postings");
  expect(sent).toEqual(["a1", "b1", "b2"]);
});

test("a batch without any answer stops the call", async () => {
  const sent: string[] = [];
  const poster = posterOf(createPostingStore(), "i", {
    store: {
      async post(postings) {
        sent.push(...postings.map(({ subject }) => subject));
        return postings.map(() => undefined);
      },
    },
  });
  for (const subject of ["a", "b", "c", "d"]) poster.add(subject, 1, 1);
  await expect(poster.post()).rejects.toEqual(new Error("the store did not answer 2 postings"));
  expect(sent).toEqual(["a", "b"]);
});

test("after a stop, the subjects that were not reached come first", async () => {
  const posted: string[] = [];
  let isAvailable = false;
  let batches = 0;
  const poster = createPoster<number>({
    store: {
      async post(postings) {
        posted.push(...postings.map(({ subject }) => subject));
        if (!isAvailable) throw new Error("the store is unavailable");
        return postings.map(() => "counted");
      },
    },
    ...{ merge: (into, more) => into + more, monotonicMs: () => 0, scopeOf, batchSize: 1 },
    nextTurn: async () => batches++,
  });
  for (const subject of ["a", "b", "c"]) poster.add(subject, 1, 1);
  await post(poster);
  isAvailable = true;
  await post(poster);
  expect(posted).toEqual(["a", "b", "c", "a"]);
  expect(batches).toBe(3);
});

test("an unannounced loss of writes is found at the next posting, and what was lost is posted again", async () => {
  const store = createPostingStore();
  const poster = posterOf(store, "i", { keepMs: KEEP_MS });
  const empty = store.snapshot();
  poster.add("a", 1, 5);
  await poster.post();
  store.restore(empty);
  poster.add("a", 1, 2);
  await poster.post();
  expect(store.counted("a")).toBe(7);
});

test("calls during a call share it", async () => {
  const store = createPostingStore();
  const poster = posterOf(store, "i");
  poster.add("a", 1, 1);
  const first = poster.post();
  expect(poster.post()).toBe(first);
  await first;
  expect(store.counted("a")).toBe(1);
});
