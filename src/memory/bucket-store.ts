import type { BucketAdmin, BucketDemand, LocalBuckets, PeekableBuckets } from "../core/limits/ports.ts";
import { rateStatus } from "../core/limits/rate-status.ts";
import { peekOutcome, secondsUntil, takeOutcome } from "../core/limits/retry-after.ts";
import type { BucketLimit, BucketState } from "../core/limits/token-bucket.ts";
import { fullBucket, MICRO, refillBucket } from "../core/limits/token-bucket.ts";

export interface Refunds {
  /** Returns tokens to the bucket, up to its capacity. */
  refund(demand: BucketDemand, cost: number): void;
}

interface KeptBucket extends BucketState {
  readonly limit: BucketLimit;
  /** The time at which it moved to the end of the order. */
  readonly movedMs: number;
}

/** A bucket moves at most once in this time: in a map of a million entries each move costs more than the rest of a take. */
const MOVE_INTERVAL_MS = 1000;

/** How many buckets a removal may examine on average, and at most if earlier ones examined few. */
const EXAMINED = { mean: 16, max: 4096 };

/**
 * Buckets in the memory of one instance. A restart fills them, and so does a removal. Above `maxBuckets` one of the least recently
 * used buckets is removed: one that is full again, otherwise the one that is full soonest.
 */
export function createBucketStore(options: {
  readonly maxBuckets: number;
}): LocalBuckets & PeekableBuckets & BucketAdmin & Refunds {
  const buckets = new Map<string, KeptBucket>();
  const put = createPut(buckets, options.maxBuckets);
  const take: LocalBuckets["take"] = (demands, cost, nowMs) => {
    const found = demands.map((demand) => {
      const state = buckets.get(demand.bucketId) ?? fullBucket(demand.limit, nowMs);
      return { demand, state: refillBucket(state, demand.limit, nowMs) };
    });
    const waits = found.map(({ demand, state }) => secondsUntil(state, demand.limit, cost));
    const retryAfterSeconds = Math.max(0, ...waits);
    const spentMicro = retryAfterSeconds === 0 ? cost * MICRO : 0;
    const rates = found.map(({ demand, state }) => {
      const { limit } = demand;
      const after = { ...state, levelMicro: state.levelMicro - spentMicro, limit };
      put(demand.bucketId, after, nowMs);
      return rateStatus(limit, after.levelMicro / MICRO);
    });
    return takeOutcome(rates, retryAfterSeconds);
  };
  return {
    take,
    peek: (demands, nowMs) => peekOutcome(demands, take(demands, 0, nowMs)),
    async levels(demands, nowMs) {
      return demands.map(({ bucketId, limit }) => {
        const state = buckets.get(bucketId) ?? fullBucket(limit, nowMs);
        return { limit, tokens: refillBucket(state, limit, nowMs).levelMicro / MICRO, leasedTokens: 0 };
      });
    },
    async reset(demands) {
      for (const { bucketId } of demands) buckets.delete(bucketId);
    },
    refund({ bucketId, limit }, cost) {
      const state = buckets.get(bucketId);
      if (state === undefined) return;
      const levelMicro = Math.min(limit.capacity * MICRO, state.levelMicro + cost * MICRO);
      buckets.set(bucketId, { ...state, levelMicro });
    },
    waitSeconds(demands, cost, nowMs) {
      let longest = 0;
      for (const { bucketId, limit } of demands) {
        const state = buckets.get(bucketId) ?? fullBucket(limit, nowMs);
        longest = Math.max(longest, secondsUntil(refillBucket(state, limit, nowMs), limit, cost));
      }
      return longest;
    },
  };
}

/** Stores the state of a bucket. A new one may remove another one. */
function createPut(buckets: Map<string, KeptBucket>, maxBuckets: number) {
  let examinable = EXAMINED.max;
  return (id: string, state: Omit<KeptBucket, "movedMs">, nowMs: number): void => {
    const movedMs = buckets.get(id)?.movedMs ?? Number.NEGATIVE_INFINITY;
    if (nowMs - movedMs < MOVE_INTERVAL_MS) {
      buckets.set(id, { ...state, movedMs });
      return;
    }
    if (!buckets.delete(id) && buckets.size >= maxBuckets) {
      examinable -= removeOne(buckets, examinable, nowMs);
      examinable = Math.min(EXAMINED.max, examinable + EXAMINED.mean);
    }
    buckets.set(id, { ...state, movedMs: nowMs });
  };
}

/**
 * Examined buckets that are kept become the most recently used ones, so that the next removal examines others.
 * @returns how many it examined
 */
function removeOne(buckets: Map<string, KeptBucket>, max: number, nowMs: number): number {
  let examined = 0;
  let removed: string | undefined;
  let soonest = Number.POSITIVE_INFINITY;
  for (const [id, bucket] of buckets.entries().take(Math.min(max, buckets.size))) {
    examined++;
    const { limit } = bucket;
    const seconds = secondsUntil(refillBucket(bucket, limit, nowMs), limit, limit.capacity);
    buckets.delete(id);
    buckets.set(id, bucket);
    if (seconds < soonest) {
      removed = id;
      soonest = seconds;
    }
    if (seconds === 0) break;
  }
  if (removed !== undefined) buckets.delete(removed);
  return examined;
}
