import type { Poster, PosterOptions } from "../../src/core/postings/poster.ts";
import { createPoster } from "../../src/core/postings/poster.ts";
import type { PostingOutcome, PostingStore, SentPosting } from "../../src/core/postings/posting.ts";
import { judgePosting } from "../../src/core/postings/posting.ts";

export const KEEP_MS = 60_000;
/** As with usage: several windows share the numbers of a scope. */
export const scopeOf = (window: number) => Math.floor(window / 2);

/** What a store has counted, and the last number per instance, subject and scope. */
interface Contents {
  readonly counted: Map<string, number>;
  readonly numbers: Map<string, number>;
}

const copyOf = ({ counted, numbers }: Contents): Contents => ({
  counted: new Map(counted),
  numbers: new Map(numbers),
});

export type Fault = "none" | "request" | "reply" | "late" | "failover";

/** One store for several instances. Its network may lose requests and replies, and deliver requests late. */
export function createPostingStore() {
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

type Store = ReturnType<typeof createPostingStore>;

export function posterOf(
  store: Store,
  name: string,
  options: Partial<PosterOptions<number>> = {},
): Poster<number> {
  return createPoster({
    store: store.storeOf(name),
    merge: (into, more) => into + more,
    monotonicMs: () => 0,
    scopeOf,
    batchSize: 2,
    ...options,
  });
}

export const post = (poster: Poster<number>) => poster.post().catch(() => undefined);
