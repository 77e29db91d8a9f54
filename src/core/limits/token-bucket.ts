/** The size and refill rate of a token bucket. The policy file guarantees that no cost exceeds `capacity`. */
export interface BucketLimit {
  /** Tokens of a full bucket; a whole number from 1. */
  readonly capacity: number;
  /** Tokens per second, refilled continuously; above 0. */
  readonly refillPerSecond: number;
}

/** A bucket at one moment. Levels are integer micro-tokens, so that every store computes the same value. */
export interface BucketState {
  /** Micro-tokens in the bucket at `stampMs`. */
  readonly levelMicro: number;
  /** The time of the level, in milliseconds of the store's clock. */
  readonly stampMs: number;
}

export const MICRO = 1_000_000;

/** The state of an unused bucket. */
export function fullBucket(limit: BucketLimit, nowMs: number): BucketState {
  return { levelMicro: limit.capacity * MICRO, stampMs: nowMs };
}

/**
 * Credits the refill since the stamp, in whole micro-tokens. The stamp advances by the time that these took, so a slow refill
 * loses nothing. If the clock stepped back, nothing is credited and the stamp becomes now.
 */
export function refillBucket(state: BucketState, limit: BucketLimit, nowMs: number): BucketState {
  const fullMicro = limit.capacity * MICRO;
  if (nowMs <= state.stampMs) return { levelMicro: Math.min(fullMicro, state.levelMicro), stampMs: nowMs };
  const microPerMs = (limit.refillPerSecond * MICRO) / 1000;
  const creditMicro = Math.floor((nowMs - state.stampMs) * microPerMs);
  const levelMicro = state.levelMicro + creditMicro;
  if (levelMicro >= fullMicro) return { levelMicro: fullMicro, stampMs: nowMs };
  return { levelMicro, stampMs: Math.min(nowMs, state.stampMs + creditMicro / microPerMs) };
}
