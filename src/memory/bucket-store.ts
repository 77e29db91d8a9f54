import type { RateStatus } from "../core/decision/decision.ts";
import type { BucketAdmin, BucketDemand, BucketStore } from "../core/limits/ports.ts";
import type { BucketState } from "../core/limits/token-bucket.ts";
import { fullBucket, MICRO, refillBucket, secondsUntil } from "../core/limits/token-bucket.ts";

export interface Refunds {
  /** Undoes that much of a take, as far as the bucket has room. */
  refund(demand: BucketDemand, cost: number): void;
}

/**
 * Buckets in the memory of one instance; a restart fills them. At most `maxBuckets` are held: the one that was
 * used longest ago goes first, and would be full again, or nearly, in any load that reaches the bound.
 */
export function createBucketStore(options: {
  readonly maxBuckets: number;
}): BucketStore & BucketAdmin & Refunds {
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
        return rateStatus(demand, after);
      });
      return retryAfterSeconds === 0
        ? { ok: true, rates }
        : { ok: false, reason: "rate_limited", retryAfterSeconds, rates };
    },
  };
}

function rateStatus({ limit }: BucketDemand, state: BucketState): RateStatus {
  return {
    name: limit.name,
    capacity: limit.capacity,
    windowSeconds: Math.ceil(limit.capacity / limit.refillPerSecond),
    remaining: Math.floor(state.levelMicro / MICRO),
  };
}
