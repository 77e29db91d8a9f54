import type { DescriptorLevel, DescriptorLimit } from "../core/limits/descriptor-limits.ts";
import { limitOfDescriptor } from "../core/limits/descriptor-limits.ts";
import type { DescriptorDemand, DescriptorLimits, TakeOutcome } from "../core/limits/ports.ts";
import type { MaybePromise } from "../core/maybe-promise.ts";
import { chain } from "../core/maybe-promise.ts";
import type { Calendars } from "../core/quotas/calendar.ts";
import { currentLimit } from "./current-limit.ts";
import { descriptorDemand } from "./descriptor-demand.ts";
import type { RateLimitRequest, ReceivedDescriptor } from "./request-decoder.ts";
import type { DescriptorStatus } from "./response-encoder.ts";

/** The outcome for one descriptor. `shadow` is above the limit, and allowed. `failed` is a request that could not be decided. */
export type RateLimitResult = "ok" | "over_limit" | "shadow" | "unlimited" | "unmatched" | "failed";

export interface Decided {
  readonly status: DescriptorStatus;
  readonly result: RateLimitResult;
}

export const NOTHING_TO_CHARGE = {
  unmatched: { status: { code: "ok" }, result: "unmatched" },
  unlimited: { status: { code: "ok" }, result: "unlimited" },
} as const satisfies Record<string, Decided>;

/** What a descriptor takes from its bucket or its counter. */
export interface DescriptorCharge {
  readonly found: Exclude<DescriptorLimit, { kind: "unlimited" }>;
  readonly demand: DescriptorDemand;
  readonly cost: number;
}

/** What a descriptor charges, or why it charges nothing. */
export function chargeOf(
  domain: DescriptorLevel,
  request: RateLimitRequest,
  { entries, hits, isRefund }: ReceivedDescriptor,
  calendars: Calendars,
): DescriptorCharge | keyof typeof NOTHING_TO_CHARGE {
  const found = limitOfDescriptor(domain, entries);
  if (found === undefined) return "unmatched";
  if (found.kind === "unlimited") return "unlimited";
  const cost = isRefund ? 0 : (hits ?? (request.hits === 0 ? 1 : request.hits));
  return { found, cost, demand: descriptorDemand(request.domain, entries, found, calendars) };
}

/** Decides by the bucket or the counter. What exceeds the rest is denied, and takes what is left. */
export function takeCharge(
  limits: DescriptorLimits,
  charge: DescriptorCharge,
  nowMs: () => number,
): MaybePromise<Decided> {
  const { demand, cost } = charge;
  if (cost > capacityOf(charge)) return drain(limits, charge, nowMs);
  const { buckets, quotas } = demand;
  const taken = cost === 0 ? limits.peek(demand, nowMs()) : limits.take(buckets, cost, nowMs(), quotas);
  return chain(taken, (outcome) =>
    cost > 1 && isLimited(outcome) ? drain(limits, charge, nowMs) : decidedBy(charge, outcome, nowMs()),
  );
}

function capacityOf({ found }: DescriptorCharge): number {
  return found.kind === "bucket" ? found.limit.capacity : found.quota.limit;
}

function isLimited(outcome: TakeOutcome): boolean {
  return !outcome.ok && outcome.reason !== "limits_unavailable";
}

/** The tokens that are left may be in a lease and in the store. A bucket that refills meanwhile must not hold a request for ever. */
const TAKES_OF_EACH_PART = 3;

/**
 * Takes all whole tokens in powers of two, the largest first: the hits of a denied request were made, so they count like those of an
 * admitted one. Never takes more than these hits, because a new window may have begun.
 */
async function drain(
  limits: DescriptorLimits,
  charge: DescriptorCharge,
  nowMs: () => number,
): Promise<Decided> {
  const { demand, cost } = charge;
  const most = Math.min(cost, capacityOf(charge));
  const drained = decided(charge, true, { remaining: 0, resetSeconds: secondsToGain(charge, most, nowMs()) });
  let left = most;
  for (let part = 2 ** Math.floor(Math.log2(most)); part >= 1; part /= 2) {
    for (let takes = 0; takes < TAKES_OF_EACH_PART && part <= left; takes++) {
      const outcome = await limits.take(demand.buckets, part, nowMs(), demand.quotas);
      if (!outcome.ok && !isLimited(outcome)) return drained;
      if (!outcome.ok) break;
      left -= part;
    }
  }
  return drained;
}

/** Until a bucket has refilled this many tokens, or until the window of a quota ends. */
function secondsToGain({ found, demand }: DescriptorCharge, tokens: number, nowMs: number): number {
  if (found.kind === "bucket") return tokens / found.limit.refillPerSecond;
  const [quota] = demand.quotas;
  return quota === undefined ? 0 : (quota.calendar(nowMs).endMs - nowMs) / 1000;
}

function decidedBy(charge: DescriptorCharge, outcome: TakeOutcome, nowMs: number): Decided {
  const remaining = outcome.rates[0]?.remaining ?? 0;
  const resetSeconds = outcome.ok
    ? secondsToGain(charge, capacityOf(charge) - remaining, nowMs)
    : outcome.retryAfterSeconds;
  return decided(charge, !outcome.ok, { remaining, resetSeconds });
}

function decided(
  { found }: DescriptorCharge,
  isOver: boolean,
  state: { readonly remaining: number; readonly resetSeconds: number },
): Decided {
  return {
    status: {
      code: isOver && !found.shadow ? "over_limit" : "ok",
      limit: { ...currentLimit(found), ...state },
    },
    result: isOver ? (found.shadow ? "shadow" : "over_limit") : "ok",
  };
}
