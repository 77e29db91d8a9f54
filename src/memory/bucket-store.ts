import type { Ordered, UseOrder } from "../core/cache/use-order.ts";
import { createUseOrder } from "../core/cache/use-order.ts";
import type { BucketAdmin, BucketDemand, LocalBuckets, PeekableBuckets } from "../core/limits/ports.ts";
import { rateStatus } from "../core/limits/rate-status.ts";
import { peekOutcome, secondsUntil, takeOutcome } from "../core/limits/retry-after.ts";
import { fullBucket, MICRO, refillBucket } from "../core/limits/token-bucket.ts";
import type { RateLimit } from "../core/policy/policy.ts";

export interface Refunds {
  /** Returns tokens to the bucket, up to its capacity. */
  refund(demand: BucketDemand, cost: number): void;
}

/** A bucket is changed in place: a new object for each take would outlive the take, and so cost two copies by the collector. */
interface KeptBucket extends Ordered<KeptBucket> {
  readonly scope: string;
  readonly subject: string;
  limit: RateLimit;
  levelMicro: number;
  stampMs: number;
  /** The time at which it moved to the end of the order. */
  movedMs: number;
}

/** A bucket moves at most once in this time, because its neighbours in the order are not in the processor's caches. */
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
  const { find, use, remove } = createBucketTable(options.maxBuckets);
  const take: LocalBuckets["take"] = (demands, cost, nowMs) => {
    const found = demands.map((demand) => use(demand, nowMs));
    let retryAfterSeconds = 0;
    for (const bucket of found)
      retryAfterSeconds = Math.max(retryAfterSeconds, secondsUntil(bucket, bucket.limit, cost));
    const spentMicro = retryAfterSeconds === 0 ? cost * MICRO : 0;
    const rates = found.map((bucket) => {
      bucket.levelMicro -= spentMicro;
      return rateStatus(bucket.limit, bucket.levelMicro / MICRO);
    });
    return takeOutcome(rates, retryAfterSeconds);
  };
  return {
    take,
    peek: (demands, nowMs) => peekOutcome(demands, take(demands, 0, nowMs)),
    async levels(demands, nowMs) {
      return demands.map((demand) => {
        const { limit } = demand;
        const state = find(demand) ?? fullBucket(limit, nowMs);
        return { limit, tokens: refillBucket(state, limit, nowMs).levelMicro / MICRO, leasedTokens: 0 };
      });
    },
    async reset(demands) {
      for (const demand of demands) {
        const bucket = find(demand);
        if (bucket !== undefined) remove(bucket);
      }
    },
    refund(demand, cost) {
      const state = find(demand);
      if (state === undefined) return;
      state.levelMicro = Math.min(demand.limit.capacity * MICRO, state.levelMicro + cost * MICRO);
    },
    waitSeconds(demands, cost, nowMs) {
      let longest = 0;
      for (const demand of demands) {
        const { limit } = demand;
        const state = find(demand) ?? fullBucket(limit, nowMs);
        longest = Math.max(longest, secondsUntil(refillBucket(state, limit, nowMs), limit, cost));
      }
      return longest;
    },
  };
}

interface BucketTable {
  find(demand: BucketDemand): KeptBucket | undefined;
  /** The bucket of a demand, refilled. A new one may remove another one. */
  use(demand: BucketDemand, nowMs: number): KeptBucket;
  remove(bucket: KeptBucket): void;
}

/** The buckets by the parts of their ids, and in the order of their last use. */
function createBucketTable(maxBuckets: number): BucketTable {
  const { find, add, remove, size } = createBucketIndex();
  const order = createUseOrder<KeptBucket>();
  let examinable = EXAMINED.max;
  const removeBoth = (bucket: KeptBucket): void => {
    remove(bucket);
    order.remove(bucket);
  };
  const begin = ({ bucketId, limit, scope = "", subject = bucketId }: BucketDemand, nowMs: number) => {
    if (size() >= maxBuckets) {
      const { examined, chosen } = chooseOne(order, Math.min(examinable, size()), nowMs);
      if (chosen !== undefined) removeBoth(chosen);
      examinable = Math.min(EXAMINED.max, examinable - examined + EXAMINED.mean);
    }
    const links = { before: undefined, after: undefined };
    const bucket = { scope, subject, limit, ...fullBucket(limit, nowMs), movedMs: nowMs, ...links };
    add(bucket);
    order.append(bucket);
    return bucket;
  };
  return {
    find,
    remove: removeBoth,
    use(demand, nowMs) {
      const bucket = find(demand);
      if (bucket === undefined) return begin(demand, nowMs);
      const { levelMicro, stampMs } = refillBucket(bucket, demand.limit, nowMs);
      bucket.limit = demand.limit;
      bucket.levelMicro = levelMicro;
      bucket.stampMs = stampMs;
      if (nowMs - bucket.movedMs >= MOVE_INTERVAL_MS) {
        bucket.movedMs = nowMs;
        order.remove(bucket);
        order.append(bucket);
      }
      return bucket;
    },
  };
}

/** Buckets by scope, then by subject. A scope without buckets is forgotten. */
function createBucketIndex() {
  const scopes = new Map<string, Map<string, KeptBucket>>();
  let size = 0;
  return {
    size: () => size,
    find: ({ bucketId, scope = "", subject = bucketId }: BucketDemand): KeptBucket | undefined =>
      scopes.get(scope)?.get(subject),
    add(bucket: KeptBucket): void {
      const { scope, subject } = bucket;
      const subjects = scopes.get(scope);
      if (subjects === undefined) scopes.set(scope, new Map([[subject, bucket]]));
      else subjects.set(subject, bucket);
      size++;
    },
    remove({ scope, subject }: KeptBucket): void {
      const subjects = scopes.get(scope);
      if (subjects?.delete(subject)) size--;
      if (subjects?.size === 0) scopes.delete(scope);
    },
  };
}

/** Chooses a bucket to remove. The examined buckets become the most recently used ones, so that the next removal examines others. */
function chooseOne(order: UseOrder<KeptBucket>, max: number, nowMs: number) {
  let examined = 0;
  let chosen: KeptBucket | undefined;
  let soonest = Number.POSITIVE_INFINITY;
  while (examined < max && soonest > 0) {
    const bucket = order.first();
    if (bucket === undefined) break;
    examined++;
    order.remove(bucket);
    order.append(bucket);
    const { limit } = bucket;
    const seconds = secondsUntil(refillBucket(bucket, limit, nowMs), limit, limit.capacity);
    if (seconds < soonest) {
      chosen = bucket;
      soonest = seconds;
    }
  }
  return { examined, chosen };
}
