import type { RateStatus } from "../decision/decision.ts";
import type { TakeOutcome } from "../limits/ports.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import type { KnownCounters, KnownCountersPorts } from "./known-counters.ts";
import { createKnownCounters } from "./known-counters.ts";
import type { QuotaDemand } from "./quota-demand.ts";
import { unitLimit } from "./quota-demand.ts";
import { exceededQuota, quotaStatus } from "./quota-status.ts";
import type { QuotaReply } from "./quota-step.ts";

export interface QuotaLookPorts extends KnownCountersPorts {
  /** Reads the counter. Rejects if the store did not respond. */
  readonly read: (demand: QuotaDemand) => Promise<QuotaReply>;
  /** `faults.quotas` of the policy. */
  readonly fault: () => "count" | "deny";
}

/** What an instance knows of the counters that are charged after the response. */
export interface QuotaLook extends Pick<KnownCounters, "onReply" | "waiting" | "forget"> {
  /** Whether every quota has something left. Reads a counter again before the last reply is too old. */
  look(demands: readonly QuotaDemand[], wallMs: number): MaybePromise<TakeOutcome>;
  /** Whether as much as the limit is used, as far as this instance knows. */
  isExhausted(demand: QuotaDemand): boolean;
}

/** A counter is read again in the background from this age on, so that requests do not wait for it. */
const READ_AHEAD_MS = 400;
/** With the way of a charge to the store, another instance's charge is known within a second. */
const MAX_AGE_MS = 800;

export function createQuotaLook(ports: QuotaLookPorts): QuotaLook {
  const { storeNowMs, monotonicMs } = ports;
  const known = createKnownCounters(ports);
  /** A failed read changes nothing: the decision sees how old the knowledge is. */
  const read = (demand: QuotaDemand): Promise<void> => {
    const counter = known.of(demand.counterId);
    const sentMs = monotonicMs();
    counter.reading ??= ports
      .read(demand)
      .then(
        (reply) => known.onReply(demand.counterId, reply, sentMs),
        () => undefined,
      )
      .finally(() => {
        counter.reading = undefined;
      });
    return counter.reading;
  };
  /** Undefined if the request need not wait. */
  const refresh = (demand: QuotaDemand): Promise<void> | undefined => {
    if (!known.isFresh(demand, MAX_AGE_MS)) return read(demand);
    if (!known.isFresh(demand, READ_AHEAD_MS)) void read(demand);
    return undefined;
  };
  return {
    ...known,
    look(demands, wallMs) {
      const reads = demands.map(refresh).filter((reading) => reading !== undefined);
      return reads.length === 0
        ? decide(ports, known, demands, wallMs)
        : Promise.all(reads).then(() => decide(ports, known, demands, wallMs));
    },
    isExhausted: (demand) => known.used(demand) >= unitLimit(demand, storeNowMs()),
  };
}

/** A quota that is known to be exhausted in its window denies, also while the store is unavailable. */
function decide(
  { fault }: Pick<QuotaLookPorts, "fault">,
  known: KnownCounters,
  demands: readonly QuotaDemand[],
  wallMs: number,
): TakeOutcome {
  const rates = demands.map((demand) => {
    const { leased } = known.of(demand.counterId);
    return quotaStatus(demand, unitLimit(demand, wallMs) - known.used(demand) - leased, wallMs);
  });
  const exhausted = demands.filter((demand) => known.used(demand) >= unitLimit(demand, wallMs));
  if (exhausted.length > 0) return exhaustedOutcome(exhausted, rates, wallMs);
  const isUnknown = demands.some((demand) => !known.isFresh(demand, MAX_AGE_MS));
  if (isUnknown && fault() === "deny")
    return { ok: false, reason: "limits_unavailable", retryAfterSeconds: 1, rates: [] };
  return { ok: true, rates };
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
