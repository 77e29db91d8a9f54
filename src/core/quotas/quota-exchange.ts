import { createClockCache } from "../cache/clock-cache.ts";
import type { LeaseReply, LeaseRequest, Settlement } from "../limits/leased-bucket.ts";
import { createPoster } from "../postings/poster.ts";
import type { PostingOutcome, SentPosting } from "../postings/posting.ts";
import type { Calendar } from "./calendar.ts";
import type { QuotaDemand } from "./quota-demand.ts";
import { unitLimit } from "./quota-demand.ts";
import type { QuotaReply, QuotaStep, Threshold } from "./quota-step.ts";
import type { QuotaStore } from "./quota-store.ts";

/** A subject has used this much of a quota in a window. Reported once, by the instance whose step crosses it. */
export interface QuotaThreshold extends Pick<QuotaDemand, "quota" | "subject" | "mode"> {
  readonly percent: Threshold;
  /** The start of the window, in milliseconds. */
  readonly windowMs: number;
}

export interface QuotaExchangePorts {
  readonly store: QuotaStore;
  /** The store's clock, as far as this instance knows it. It only proposes windows; the store chooses. */
  readonly storeNowMs: () => number;
  readonly monotonicMs: () => number;
  /** Unique among all instances and restarts, for ever. */
  readonly instanceId: string;
  /** `faults.quotas` of the policy. */
  readonly fault: () => "count" | "deny";
  readonly delayMs: (ms: number) => Promise<void>;
  /** As of `PosterOptions`. */
  readonly nextTurn?: () => Promise<unknown>;
  /** As of `PosterOptions`: 0 for a store that loses no writes. */
  readonly keepMs?: number;
  readonly onThreshold?: (threshold: QuotaThreshold) => void;
  /**
   * `expired`: units of leases whose holder did not report their end; they count as used. `counted`: units that were admitted without
   * the store. `posted` and `lost`: those of them that the store has counted, or never will.
   */
  readonly observe?: (event: "expired" | "counted" | "posted" | "lost", units: number) => void;
}

/** The messages between an instance and the counters, and what it counts while they are unavailable. */
export interface QuotaExchange {
  /** Settles leases and requests units. Rejects if the store did not respond. Waits for the next window if this one is ending. */
  step(
    demand: QuotaDemand,
    settlements: readonly Settlement[],
    request: LeaseRequest | undefined,
  ): Promise<LeaseReply>;
  /** How to decide a request while the counter is unavailable. `exhausted`: its window is known to have less left than the cost. */
  withoutStore(demand: QuotaDemand, cost: number): "count" | "deny" | "exhausted";
  /** Counts units that were admitted without the store. They are posted later. */
  count(demand: QuotaDemand, cost: number): void;
  /** Posts what was counted. Rejects if the store does not respond; what it did not answer stays. */
  post(): Promise<void>;
  /** Call it when the store may have lost writes: what was posted recently is posted again. */
  replay(): void;
  /** The number of subjects and windows that wait to be posted. */
  waiting(): number;
  /** Forgets what is known about a counter that was reset, and what was posted to it. */
  forget(counterId: string): void;
}

/** How often a request waits for the end of a window. Timers may end early, and the store's clock may step back. */
const MAX_WAITS = 3;

/** Each one is visited with every call that posts. */
const MAX_KEPT = 20_000;

/** Counters whose use is remembered for the time without the store. */
const MAX_REMEMBERED = 100_000;

/** The least that a counter is known to have used in its newest known window. */
interface KnownUse {
  windowMs: number;
  units: number;
}

export function createQuotaExchange(ports: QuotaExchangePorts): QuotaExchange {
  const known = createKnownUse();
  const debts = createDebts(ports);
  const onReply = ({ counterId, quota, subject, mode }: QuotaDemand, reply: QuotaReply) => {
    const { windowMs, used, expiredUnits, crossed } = reply;
    known.atLeast(counterId, windowMs, used);
    if (expiredUnits > 0) ports.observe?.("expired", expiredUnits);
    if (crossed !== 0) ports.onThreshold?.({ quota, subject, mode, percent: crossed, windowMs });
  };
  const send = async (demand: QuotaDemand, step: Pick<QuotaStep, "settlements" | "request">) => {
    const { counterId, quota, extra, calendar } = demand;
    const reply = await sendInWindow(ports, counterId, calendar, { ...step, limit: quota.limit, extra });
    onReply(demand, reply);
    return reply;
  };
  return {
    async step(demand, settlements, request) {
      let reply = await send(demand, { settlements, request });
      for (let waits = 0; reply.isEnding && waits < MAX_WAITS; waits++) {
        await ports.delayMs(reply.leftUs / 1000 + 1);
        reply = await send(demand, { settlements: [], request });
      }
      return leaseReply(reply);
    },
    withoutStore(demand, cost) {
      const nowMs = ports.storeNowMs();
      const used = known.units(demand.counterId, demand.calendar(nowMs).startMs);
      if (used + cost > unitLimit(demand, nowMs)) return "exhausted";
      return ports.fault();
    },
    count({ counterId, calendar }, cost) {
      const windowMs = calendar(ports.storeNowMs()).startMs;
      known.atLeast(counterId, windowMs, known.units(counterId, windowMs) + cost);
      debts.add(counterId, calendar, windowMs, cost);
      ports.observe?.("counted", cost);
    },
    post: debts.post,
    replay: debts.replay,
    waiting: debts.waiting,
    forget(counterId) {
      known.forget(counterId);
      debts.forget(counterId);
    },
  };
}

/** If the store's time lies in none of the windows, they are proposed again for its time. */
async function sendInWindow(
  { store, storeNowMs }: Pick<QuotaExchangePorts, "store" | "storeNowMs">,
  counterId: string,
  calendar: Calendar,
  step: Omit<QuotaStep, "windows">,
): Promise<QuotaReply> {
  const first = await store.step(counterId, { ...step, windows: calendar(storeNowMs()) });
  if (first.inWindows) return first;
  const second = await store.step(counterId, { ...step, windows: calendar(first.nowMs) });
  if (!second.inWindows) throw new Error("the clock of the store is not steady");
  return second;
}

function leaseReply(reply: QuotaReply): LeaseReply {
  return {
    grantedTokens: reply.grantedUnits,
    waitUs: reply.leftUs,
    leasesOutstanding: reply.leased > 0,
    counter: { lifeUs: reply.lifeUs, freeUnits: reply.freeUnits },
  };
}

function createKnownUse() {
  const byCounter = createClockCache<string, KnownUse>(MAX_REMEMBERED);
  return {
    units(counterId: string, windowMs: number): number {
      const use = byCounter.get(counterId);
      return use !== undefined && use.windowMs >= windowMs ? use.units : 0;
    },
    atLeast(counterId: string, windowMs: number, units: number): void {
      const use = byCounter.get(counterId);
      if (use === undefined || use.windowMs < windowMs) byCounter.set(counterId, { windowMs, units });
      else if (use.windowMs === windowMs && use.units < units) use.units = units;
    },
    forget: (counterId: string) => byCounter.delete(counterId),
  };
}

/** Units that were admitted without the store, as numbered postings. */
function createDebts(ports: QuotaExchangePorts) {
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
