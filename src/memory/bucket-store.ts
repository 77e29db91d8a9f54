import type { BucketAdmin, BucketDemand, LocalBuckets } from "../core/limits/ports.ts";
import { rateStatus } from "../core/limits/rate-status.ts";
import { secondsUntil, takeOutcome } from "../core/limits/retry-after.ts";
import type { BucketState } from "../core/limits/token-bucket.ts";
import { fullBucket, MICRO, refillBucket } from "../core/limits/token-bucket.ts";

export interface Refunds {
  /** Returns tokens to the bucket, up to its capacity. */
  refund(demand: BucketDemand, cost: number): void;
}

/**
 * Buckets in the memory of one instance. A restart fills them. Above `maxBuckets` the least recently used bucket is removed.
 * Under a load that reaches the maximum, that bucket is full or nearly full again.
 */
export function createBucketStore(options: {
  readonly maxBuckets: number;
}): LocalBuckets & BucketAdmin & Refunds {
  const buckets = new Map<string, BucketState>();
  const put = (id: string, state: BucketState) => {
    buckets.delete(id);
    buckets.set(id, state);
    if (buckets.size > options.maxBuckets) buckets.delete(buckets.keys().next().value ?? "");
  };
  return {
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
    take(demands, cost, nowMs) {
      const found = demands.map((demand) => {
        const state = buckets.get(demand.bucketId) ?? fullBucket(demand.limit, nowMs);
        return { demand, state: refillBucket(state, demand.limit, nowMs) };
      });
      const waits = found.map(({ demand, state }) => secondsUntil(state, demand.limit, cost));
      const retryAfterSeconds = Math.max(0, ...waits);
      const spentMicro = retryAfterSeconds === 0 ? cost * MICRO : 0;
      const rates = found.map(({ demand, state }) => {
        const after = { ...state, levelMicro: state.levelMicro - spentMicro };
        put(demand.bucketId, after);
        return rateStatus(demand.limit, after.levelMicro / MICRO);
      });
      return takeOutcome(rates, retryAfterSeconds);
    },
  };
}
