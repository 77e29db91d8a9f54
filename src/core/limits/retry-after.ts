import type { RateStatus } from "../decision/decision.ts";
import type { BucketDemand, TakeOutcome } from "./ports.ts";
import type { BucketLimit, BucketState } from "./token-bucket.ts";
import { MICRO } from "./token-bucket.ts";

/** For a 503 that names no time: most faults are over by then. */
const RETRY_503_SECONDS = 1;

/** `Retry-After` of a response with this status, in whole seconds; undefined: no header. Every listener sends this value. */
export function retryAfterOf(status: number, seconds: number | undefined): number | undefined {
  return seconds ?? (status === 503 ? RETRY_503_SECONDS : undefined);
}

/**
 * The outcome of a take from several buckets. It is denied if one of them makes it wait.
 * @param retryAfterSeconds the longest wait of these buckets; 0: none
 */
export function takeOutcome(rates: readonly RateStatus[], retryAfterSeconds: number): TakeOutcome {
  return retryAfterSeconds === 0
    ? { ok: true, rates }
    : { ok: false, reason: "rate_limited", retryAfterSeconds, rates };
}

/** Whether each holds a whole token, by the outcome of a take of 0 whose `remaining` is exact. Without rates it stays as it is. */
export function peekOutcome(demands: readonly BucketDemand[], taken: TakeOutcome): TakeOutcome {
  return demands.reduce((outcome, { limit }) => peekOne(outcome, limit), taken);
}

function peekOne(taken: TakeOutcome, limit: BucketLimit): TakeOutcome {
  const isDrained = taken.ok && taken.rates.some(({ remaining }) => remaining < 1);
  return isDrained ? takeOutcome(taken.rates, secondsToRefill(1, limit)) : taken;
}

/** Whole seconds until an unused bucket holds the tokens; 0 if it holds them now. */
export function secondsUntil({ levelMicro }: BucketState, limit: BucketLimit, tokens: number): number {
  return secondsToRefill((tokens * MICRO - levelMicro) / MICRO, limit);
}

/** Whole seconds, rounded up, until the missing tokens are refilled; 0 if none is missing. */
export function secondsToRefill(missingTokens: number, { refillPerSecond }: BucketLimit): number {
  return Math.max(0, Math.ceil(missingTokens / refillPerSecond));
}
