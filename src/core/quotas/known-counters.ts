import { createClockCache } from "../cache/clock-cache.ts";
import type { QuotaDemand } from "./quota-demand.ts";
import type { QuotaReply } from "./quota-step.ts";

/** What an instance knows of one counter. */
export interface KnownCounter {
  windowMs: number;
  used: number;
  leased: number;
  /** The store's time of the newest reply. */
  storeMs: number;
  /** Monotonic time at which the step was sent whose reply is the newest one. */
  sentMs: number;
  /** Set while the counter is read. */
  reading: Promise<void> | undefined;
}

export interface KnownCounters {
  /** Creates the counter as one that was never read. */
  of(counterId: string): KnownCounter;
  /** Whether what is known belongs to the present window, and is at most this old. */
  isFresh(demand: QuotaDemand, maxAgeMs: number): boolean;
  /** Units of the present window, as far as they are known, with those that wait to be counted. */
  used(demand: QuotaDemand): number;
  /** A step on the counter has been answered. An older reply than the known one changes nothing. */
  onReply(counterId: string, reply: QuotaReply, sentMs: number): void;
  /** Units that were charged here and that the counter has not counted yet; negative once it has. */
  waiting(counterId: string, units: number): void;
  forget(counterId: string): void;
}

export interface KnownCountersPorts {
  readonly storeNowMs: () => number;
  readonly monotonicMs: () => number;
}

const MAX_KNOWN = 100_000;

export function createKnownCounters({ storeNowMs, monotonicMs }: KnownCountersPorts): KnownCounters {
  const known = createClockCache<string, KnownCounter>(MAX_KNOWN);
  const waiting = new Map<string, number>();
  const isPresent = ({ windowMs }: KnownCounter, { calendar }: QuotaDemand) =>
    windowMs >= calendar(storeNowMs()).startMs;
  const counterOf = (counterId: string): KnownCounter => {
    const found = known.get(counterId) ?? neverRead();
    known.set(counterId, found);
    return found;
  };
  return {
    of: counterOf,
    isFresh(demand, maxAgeMs) {
      const counter = counterOf(demand.counterId);
      return monotonicMs() - counter.sentMs <= maxAgeMs && isPresent(counter, demand);
    },
    used(demand) {
      const counter = counterOf(demand.counterId);
      const counted = isPresent(counter, demand) ? counter.used : 0;
      return counted + (waiting.get(demand.counterId) ?? 0);
    },
    onReply(counterId, { inWindows, windowMs, used, leased, nowMs: storeMs }, sentMs) {
      const counter = counterOf(counterId);
      if (inWindows && storeMs >= counter.storeMs)
        Object.assign(counter, { windowMs, used, leased, storeMs, sentMs });
    },
    waiting(counterId, units) {
      const total = (waiting.get(counterId) ?? 0) + units;
      if (total === 0) waiting.delete(counterId);
      else waiting.set(counterId, total);
    },
    forget: (counterId) => known.delete(counterId),
  };
}

function neverRead(): KnownCounter {
  const sentMs = Number.NEGATIVE_INFINITY;
  return { windowMs: -1, used: 0, leased: 0, storeMs: -1, sentMs, reading: undefined };
}
