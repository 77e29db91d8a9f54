import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Poster, PosterOptions } from "./poster.ts";
import { createPoster } from "./poster.ts";
import type { PostingOutcome, PostingStore, SentPosting } from "./posting.ts";
import { judgePosting } from "./posting.ts";

const KEEP_MS = 60_000;
/** As with usage: several windows share the numbers of a scope. */
const scopeOf = (window: number) => Math.floor(window / 2);

/** What a store has counted, and the last number per instance, subject and scope. */
interface Contents {
  readonly counted: Map<string, number>;
  readonly numbers: Map<string, number>;
}

const copyOf = ({ counted, numbers }: Contents): Contents => ({
  counted: new Map(counted),
  numbers: new Map(numbers),
});

type Fault = "none" | "request" | "reply" | "late" | "failover";

/** One store for several instances. Its network may lose requests and replies, and deliver requests late. */
function createStore() {
  let history = 0;
  let contents: Contents = { counted: new Map(), numbers: new Map() };
  let openFrom = 0;
  let fault: Fault = "none";
  let onFailover: () => void = () => undefined;
  const delayed: (() => void)[] = [];
  const apply = (instance: string, posting: SentPosting<number>): PostingOutcome => {
    const { subject, window, amount, number } = posting;
    const numbersOf = `${instance} ${subject} ${scopeOf(window)}`;
    const last = contents.numbers.get(numbersOf) ?? 0;
    const judged = judgePosting(last, posting);
    if (judged === "repeat") return "counted";
    if (window < openFrom) return "void";
    if (judged === "behind") return "behind";
    contents.numbers.set(numbersOf, number);
    contents.counted.set(subject, (contents.counted.get(subject) ?? 0) + amount);
    return "counted";
  };
  const storeOf = (instance: string): PostingStore<number> => ({
    historyOf: () => String(history),
    async post(postings) {
      const run = () => postings.map((posting) => apply(instance, posting));
      if (fault === "request") throw new Error("the request is lost");
      if (fault === "late") delayed.push(() => void run());
      if (fault === "late") throw new Error("the request arrives later");
      const outcomes = run();
      if (fault === "reply") throw new Error("the reply is lost");
      if (fault === "failover") onFailover();
      return outcomes;
    },
  });
  return {
    storeOf,
    fail(next: Fault) {
      fault = next;
    },
    /** Called between a posting and its reply, with the fault "failover". */
    onFailover(call: () => void) {
      onFailover = call;
    },
    deliverLate() {
      for (const deliver of delayed.splice(0)) deliver();
    },
    snapshot: () => copyOf(contents),
    restore(earlier: Contents) {
      contents = copyOf(earlier);
    },
    /** Instances notice that the store has other contents. */
    nameOther() {
      history++;
    },
    openFrom(window: number) {
      openFrom = window;
    },
    counted: (subject: string) => contents.counted.get(subject) ?? 0,
  };
}

type Store = ReturnType<typeof createStore>;

function posterOf(store: Store, name: string, options: Partial<PosterOptions<number>> = {}): Poster<number> {
  return createPoster({
    store: store.storeOf(name),
    merge: (into, more) => into + more,
    monotonicMs: () => 0,
    scopeOf,
    batchSize: 2,
    ...options,
  });
}

const post = (poster: Poster<number>) => poster.post().catch(() => undefined);

describe("for every schedule of faults", () => {
  const SUBJECTS = ["a", "b", "c"];
  const of = fc.nat({ max: 1 });
  const add = fc.record({
    kind: fc.constant("add"),
    of,
    subject: fc.constantFrom(...SUBJECTS),
    window: fc.nat({ max: 5 }),
    amount: fc.integer({ min: 1, max: 9 }),
  });
  const faults: readonly Fault[] = ["none", "none", "request", "reply", "late"];
  const posting = fc.record({ kind: fc.constant("post"), of, fault: fc.constantFrom(...faults) });
  const late = fc.record({ kind: fc.constant("late") });
  const crash = fc.record({ kind: fc.constant("crash"), of });
  const replicate = fc.record({ kind: fc.constant("replicate") });
  const failover = fc.record({ kind: fc.constant("failover"), announced: fc.boolean() });
  const notice = fc.record({ kind: fc.constant("notice") });
  const calm = [add, add, add, posting, posting, posting, late] as const;

  type Totals = Map<string, number>;
  const sum = (into: Totals, subject: string, amount: number) =>
    into.set(subject, (into.get(subject) ?? 0) + amount);

  /** Two instances, and what was added at them. */
  function twoInstances(during: "announced" | "unannounced" = "announced") {
    const store = createStore();
    let started = 0;
    const start = () => ({
      poster: posterOf(store, `i${started++}`, { keepMs: KEEP_MS }),
      added: new Map<string, number>(),
    });
    const instances = [start(), start()];
    const crashed: Totals = new Map();
    let replica = store.snapshot();
    const failOver = (announced: boolean) => {
      store.restore(replica);
      if (announced) for (const { poster } of instances) poster.replay();
    };
    store.onFailover(() => failOver(during === "announced"));
    const at = (index: number) => instances[index] ?? expect.unreachable();
    const run = async (one: Step): Promise<void> => {
      if (one.kind === "add" && "subject" in one) {
        at(one.of).poster.add(one.subject, one.window, one.amount);
        sum(at(one.of).added, one.subject, one.amount);
      } else if ("fault" in one) {
        store.fail(one.fault);
        await post(at(one.of).poster);
        store.fail("none");
      } else if ("announced" in one) failOver(one.announced);
      else if ("of" in one) {
        for (const [subject, amount] of at(one.of).added) sum(crashed, subject, amount);
        instances[one.of] = start();
      } else if (one.kind === "late") store.deliverLate();
      else if (one.kind === "notice") store.nameOther();
      else replica = store.snapshot();
    };
    const finish = async () => {
      store.deliverLate();
      for (const { poster } of instances) await post(poster);
      for (const { poster } of instances) expect(poster.waiting()).toBe(0);
      const living: Totals = new Map();
      for (const { added } of instances) for (const [subject, amount] of added) sum(living, subject, amount);
      return { store, living, crashed };
    };
    const replay = () => instances.map(({ poster }) => poster.replay());
    return { run, finish, replay, notice: store.nameOther };
  }
  const anyStep = fc.oneof(...calm, crash, replicate, failover, notice);
  type Step = typeof anyStep extends fc.Arbitrary<infer T> ? T : never;

  test("each amount of a living instance counts exactly once, and one of a crashed instance at most once", async () => {
    const steps = fc.array(fc.oneof(...calm, crash), { maxLength: 60, size: "max" });
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const { run, finish } = twoInstances();
        for (const one of list) await run(one);
        const { store, living, crashed } = await finish();
        for (const subject of SUBJECTS) {
          const least = living.get(subject) ?? 0;
          expect(store.counted(subject)).toBeGreaterThanOrEqual(least);
          expect(store.counted(subject)).toBeLessThanOrEqual(least + (crashed.get(subject) ?? 0));
        }
      }),
      { numRuns: 500 },
    );
  });

  test("a primary that lacks recent writes gets them again, and nothing twice", async () => {
    const during = fc.record({ kind: fc.constant("post"), of, fault: fc.constant<Fault>("failover") });
    const steps = fc.array(fc.oneof(...calm, replicate, failover, during), { maxLength: 60, size: "max" });
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const { run, finish, replay } = twoInstances();
        for (const one of list) await run(one);
        replay();
        const { store, living } = await finish();
        for (const subject of SUBJECTS) expect(store.counted(subject)).toBe(living.get(subject) ?? 0);
      }),
      { numRuns: 500 },
    );
  });

  test("so does one that only the name of its history shows, whenever that is noticed", async () => {
    const during = fc.record({ kind: fc.constant("post"), of, fault: fc.constant<Fault>("failover") });
    const unannounced = fc.record({ kind: fc.constant("failover"), announced: fc.constant(false) });
    const steps = fc.array(fc.oneof(...calm, replicate, unannounced, notice, during), {
      maxLength: 60,
      size: "max",
    });
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const { run, finish, notice: noticeAtLast } = twoInstances("unannounced");
        for (const one of list) await run(one);
        noticeAtLast();
        const { store, living } = await finish();
        for (const subject of SUBJECTS) expect(store.counted(subject)).toBe(living.get(subject) ?? 0);
      }),
      { numRuns: 500 },
    );
  });
});

test("each posting is reported as counted or lost once, however often it is posted", async () => {
  const store = createStore();
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
  const store = createStore();
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
  const store = createStore();
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
  const store = createStore();
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
  const store = createStore();
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

test("an instance without keepMs posts nothing again", async () => {
  const store = createStore();
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
  const store = createStore();
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
  const store = createStore();
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
  const store = createStore();
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

test("beyond the maximum of waiting subjects an amount is dropped and reported, and waiting subjects go on", async () => {
  const store = createStore();
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
  const store = createStore();
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

test("after a stop, the subjects that were not reached come first", async () => {
  const posted: string[] = [];
  let isAvailable = false;
  const poster = createPoster<number>({
    store: {
      async post(postings) {
        posted.push(...postings.map(({ subject }) => subject));
        if (!isAvailable) throw new Error("the store is unavailable");
        return postings.map(() => "counted");
      },
    },
    ...{ merge: (into, more) => into + more, monotonicMs: () => 0, scopeOf, batchSize: 1 },
  });
  for (const subject of ["a", "b", "c"]) poster.add(subject, 1, 1);
  await post(poster);
  isAvailable = true;
  await post(poster);
  expect(posted).toEqual(["a", "b", "c", "a"]);
});

test("an unannounced loss of writes is found at the next posting, and what was lost is posted again", async () => {
  const store = createStore();
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
  const store = createStore();
  const poster = posterOf(store, "i");
  poster.add("a", 1, 1);
  const first = poster.post();
  expect(poster.post()).toBe(first);
  await first;
  expect(store.counted("a")).toBe(1);
});
