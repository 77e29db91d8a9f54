/** A token bucket's size and speed. `cost` never exceeds `capacity`: the policy file sees to it. */
export interface BucketLimit {
  /** Tokens that a full bucket holds; a whole number from 1. */
  readonly capacity: number;
  /** Tokens that come back in a second, continuously; above 0. */
  readonly refillPerSecond: number;
}

/** A bucket at one moment. Levels are integer micro-tokens, so that every store computes the same. */
export interface BucketState {
  /** Micro-tokens in the bucket at `stampMs`. */
  readonly levelMicro: number;
  /** When the level was right: milliseconds of the store's own clock. */
  readonly stampMs: number;
}

export const MICRO = 1_000_000;

/** A bucket that nobody has used is full. */
export function fullBucket(limit: BucketLimit, nowMs: number): BucketState {
  return { levelMicro: limit.capacity * MICRO, stampMs: nowMs };
}

/**
 * Credits what has come back since the stamp, in whole micro-tokens; the stamp moves by the time that they took,
 * so that a slow refill loses nothing. A clock that stepped back credits nothing and sets the stamp to now.
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

/** Whole seconds, rounded up, until a bucket left alone holds `tokens`; at least 1 when it does not hold them yet. */
export function secondsUntil(state: BucketState, limit: BucketLimit, tokens: number): number {
  const missing = tokens * MICRO - state.levelMicro;
  return missing <= 0 ? 0 : Math.max(1, Math.ceil(missing / MICRO / limit.refillPerSecond));
}
