import { createClockCache } from "../cache/clock-cache.ts";
import type { RateStatus } from "../decision/decision.ts";
import type { TakeOutcome } from "../limits/ports.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import type { QuotaDemand } from "./quota-demand.ts";
import { unitLimit } from "./quota-demand.ts";
import { exceededQuota, quotaStatus } from "./quota-status.ts";
import type { QuotaReply } from "./quota-step.ts";

export interface QuotaLookPorts {
  /** Reads the counter. Rejects if the store did not respond. */
  readonly read: (demand: QuotaDemand) => Promise<QuotaReply>;
  readonly storeNowMs: () => number;
  readonly monotonicMs: () => number;
  /** `faults.quotas` of the policy. */
  readonly fault: () => "count" | "deny";
}

/** What an instance knows of the counters that are charged after the response. */
export interface QuotaLook {
  /** Whether every quota has something left. Reads a counter again before what is known of it is too old. */
  look(demands: readonly QuotaDemand[], wallMs: number): MaybePromise<TakeOutcome>;
  /** Whether as much as the limit is used, as far as this instance knows. */
  isExhausted(demand: QuotaDemand): boolean;
  /** A step on the counter has been answered. */
  onReply(counterId: string, reply: QuotaReply, sentMs: number): void;
  /** Units that were charged here and that the store has not counted yet; negative once it has. */
  waiting(counterId: string, units: number): void;
  forget(counterId: string): void;
}

/** A counter is read again in the background from this age on, so that requests do not wait for it. */
const READ_AHEAD_MS = 400;
/** With the way of a charge to the store, another instance's charge is known within a second. */
const MAX_AGE_MS = 800;

const MAX_KNOWN = 100_000;

interface KnownCounter {
  windowMs: number;
  used: number;
  leased: number;
  /** The store's time of the newest reply. */
  storeMs: number;
  /** Monotonic time at which the newest answered step was sent. */
  sentMs: number;
  reading: Promise<void> | undefined;
}

export function createQuotaLook(ports: QuotaLookPorts): QuotaLook {
  const { storeNowMs, monotonicMs } = ports;
  const known = createClockCache<string, KnownCounter>(MAX_KNOWN);
  const waiting = new Map<string, number>();
  const usedOf = (demand: QuotaDemand): number => {
    const counter = known.get(demand.counterId);
    const isPresent = counter !== undefined && counter.windowMs >= demand.calendar(storeNowMs()).startMs;
    return (isPresent ? counter.used : 0) + (waiting.get(demand.counterId) ?? 0);
  };
  const onReply: QuotaLook["onReply"] = (counterId, reply, sentMs) => {
    if (!reply.inWindows) return;
    const { windowMs, used, leased, nowMs: storeMs } = reply;
    const counter = counterOf(counterId);
    if (storeMs < counter.storeMs) return;
    Object.assign(counter, { windowMs, used, leased, storeMs, sentMs });
  };
  const counterOf = (counterId: string): KnownCounter => {
    const found = known.get(counterId);
    if (found !== undefined) return found;
    const never = Number.NEGATIVE_INFINITY;
    const fresh = { windowMs: -1, used: 0, leased: 0, storeMs: -1, sentMs: never, reading: undefined };
    known.set(counterId, fresh);
    return fresh;
  };
  /** A failed read changes nothing: {@link decide} sees how old the knowledge is. */
  const read = (demand: QuotaDemand, counter: KnownCounter): Promise<void> => {
    const sentMs = monotonicMs();
    counter.reading ??= ports
      .read(demand)
      .then(
        (reply) => onReply(demand.counterId, reply, sentMs),
        () => undefined,
      )
      .finally(() => {
        counter.reading = undefined;
      });
    return counter.reading;
  };
  const isFresh = (demand: QuotaDemand, counter: KnownCounter): boolean =>
    monotonicMs() - counter.sentMs <= MAX_AGE_MS && counter.windowMs >= demand.calendar(storeNowMs()).startMs;
  /** Undefined if the request need not wait. */
  const refresh = (demand: QuotaDemand): Promise<void> | undefined => {
    const counter = counterOf(demand.counterId);
    if (!isFresh(demand, counter)) return read(demand, counter);
    if (monotonicMs() - counter.sentMs > READ_AHEAD_MS) void read(demand, counter);
    return undefined;
  };
  const decide = (demands: readonly QuotaDemand[], wallMs: number): TakeOutcome => {
    const exhausted = demands.filter((demand) => usedOf(demand) >= unitLimit(demand, wallMs));
    const rates = demands.map((demand) => statusOf(demand, wallMs));
    if (exhausted.length > 0) return exhaustedOutcome(exhausted, rates, wallMs);
    const isUnknown = demands.some((demand) => !isFresh(demand, counterOf(demand.counterId)));
    if (isUnknown && ports.fault() === "deny")
      return { ok: false, reason: "limits_unavailable", retryAfterSeconds: 1, rates: [] };
    return { ok: true, rates };
  };
  const statusOf = (demand: QuotaDemand, wallMs: number): RateStatus => {
    const leased = known.get(demand.counterId)?.leased ?? 0;
    return quotaStatus(demand, unitLimit(demand, wallMs) - usedOf(demand) - leased, wallMs);
  };
  return {
    look(demands, wallMs) {
      const reads = demands.map(refresh).filter((reading) => reading !== undefined);
      return reads.length === 0
        ? decide(demands, wallMs)
        : Promise.all(reads).then(() => decide(demands, wallMs));
    },
    isExhausted: (demand) => usedOf(demand) >= unitLimit(demand, storeNowMs()),
    onReply,
    waiting(counterId, units) {
      const total = (waiting.get(counterId) ?? 0) + units;
      if (total === 0) waiting.delete(counterId);
      else waiting.set(counterId, total);
    },
    forget: (counterId) => known.delete(counterId),
  };
}

/** The longest wait, so that a client that waits is admitted. */
function exhaustedOutcome(
  exhausted: readonly QuotaDemand[],
  rates: readonly RateStatus[],
  wallMs: number,
): TakeOutcome {
  const endOf = ({ calendar }: QuotaDemand) => calendar(wallMs).endMs;
  const [longest] = exhausted.toSorted((one, other) => endOf(other) - endOf(one));
  const endMs = longest === undefined ? wallMs : endOf(longest);
  return {
    ok: false,
    reason: "quota_exceeded",
    retryAfterSeconds: Math.max(1, Math.ceil((endMs - wallMs) / 1000)),
    rates,
    ...(longest && { quota: exceededQuota(longest, wallMs) }),
  };
}
