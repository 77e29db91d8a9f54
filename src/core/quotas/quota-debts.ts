import { createPoster } from "../postings/poster.ts";
import type { PostingOutcome, SentPosting } from "../postings/posting.ts";
import type { Calendar } from "./calendar.ts";
import type { WindowedStore } from "./send-in-window.ts";
import { sendInWindow } from "./send-in-window.ts";

export interface QuotaDebtsPorts extends WindowedStore {
  readonly monotonicMs: () => number;
  /** Unique among all instances and restarts, for ever. */
  readonly instanceId: string;
  /** As of `PosterOptions`. */
  readonly nextTurn?: () => Promise<unknown>;
  /** As of `PosterOptions`: 0 for a store that loses no writes. */
  readonly keepMs?: number;
  readonly observe?: (event: "posted" | "lost", units: number) => void;
}

/** Each one is visited with every call that posts. */
const MAX_KEPT = 20_000;

/** Units that were admitted without the store, as numbered postings. */
export function createQuotaDebts(ports: QuotaDebtsPorts) {
  const { store, storeNowMs, monotonicMs, instanceId, observe, nextTurn, keepMs = 0 } = ports;
  // By quota and not by subject, so that their number is that of the policy's quotas.
  const calendars = new Map<string, Calendar>();
  const post = async (sent: SentPosting<number>): Promise<PostingOutcome | undefined> => {
    const calendar = calendars.get(quotaOf(sent.subject));
    if (calendar === undefined) return "void";
    const posting = { instanceId, sent };
    // Without a request the limit only decides about thresholds, which the next request reports.
    const step = { limit: 0, settlements: [], posting };
    const { posted } = await sendInWindow({ store, storeNowMs }, sent.subject, calendar, step);
    return posted;
  };
  const poster = createPoster<number>({
    store: {
      async post(postings) {
        const answers = await Promise.allSettled(postings.map(post));
        if (answers.every(({ status }) => status === "rejected"))
          throw new Error("the store does not count what was admitted without it");
        return answers.map((answer) => (answer.status === "fulfilled" ? answer.value : undefined));
      },
      ...(store.historyOf && { historyOf: store.historyOf }),
    },
    merge: (into, more) => into + more,
    monotonicMs,
    // A counter forgets the numbers of a window when it enters the next one.
    scopeOf: (window) => window,
    onCounted: (units) => observe?.("posted", units),
    onLost: (units) => observe?.("lost", units),
    keepMs,
    maxKept: MAX_KEPT,
    ...(nextTurn && { nextTurn }),
  });
  return {
    add(counterId: string, calendar: Calendar, windowMs: number, units: number): void {
      poster.add(counterId, windowMs, units);
      calendars.set(quotaOf(counterId), calendar);
    },
    post: poster.post,
    replay: poster.replay,
    forget: poster.forget,
    waiting: poster.waiting,
  };
}

/** The part before the subject. Neither the kind of subject nor the name of a quota contains a colon. */
function quotaOf(counterId: string): string {
  return counterId.split(":", 2).join(":");
}
