import type { MaybePromise } from "../maybe-promise.ts";
import type { RateLimit } from "../policy/policy.ts";
import { recordDemand, shouldPrefetch } from "./lease-demand.ts";
import type { LeaseExchange, LeaseExchangePorts, SharedBucket } from "./lease-exchange.ts";
import { createLeaseExchange } from "./lease-exchange.ts";
import {
  availableTokens,
  createLeaseHolder,
  dueInMs,
  emptyForMs,
  isDormant,
  returnAllLeases,
  returnIdleLeases,
  spendTokens,
} from "./lease-holder.ts";
import type { BucketDemand, BucketStore, TakeOutcome } from "./ports.ts";
import { rateStatus } from "./rate-status.ts";
import { takeOutcome } from "./retry-after.ts";

export interface LeasePoolPorts extends LeaseExchangePorts {
  /** Maximum number of buckets in memory. Above it the least recently used one is removed and its tokens are returned. */
  readonly maxBuckets: number;
  /** Decides while the store is unavailable. */
  readonly fallback: BucketStore;
}

export interface LeasePool extends BucketStore {
  /** Returns unused leases to the store. Call it about every 50 ms. */
  sweep(): Promise<void>;
  /** Drops the leases of a bucket that was reset. */
  forget(bucketId: string): void;
  /** Returns all leases. */
  close(): Promise<void>;
  /** The number of buckets in memory. */
  size(): number;
}

/** A bucket is moved to the end of the LRU order at most once in this time, however many requests use it. */
const LRU_TOUCH_INTERVAL_MS = 50;

/** A bucket without leases is forgotten this long after its last use. */
const IDLE_EVICTION_MS = 1000;

/** A request that loses the race for granted tokens this often is denied: the bucket is contended. */
const MAX_ROUNDS = 16;

/**
 * Buckets that are shared through leases. The decision is local and the limit is exact. The missing tokens are requested for all
 * buckets of a request at once. Then it spends from all of them in one synchronous step, or from none.
 */
export function createLeasePool(ports: LeasePoolPorts): LeasePool {
  const exchange = createLeaseExchange(ports);
  const known = createKnownBuckets(ports.maxBuckets, exchange);
  return {
    take(demands, cost, wallMs) {
      const nowMs = ports.monotonicMs();
      const buckets = demands.map((demand) => known.find(demand, nowMs));
      if (cost === 0) return { ok: true, rates: ratesOf(buckets, nowMs) };
      for (const { holder } of buckets) recordDemand(holder, cost, nowMs);
      return attempt({ ports, exchange, demands, buckets, cost, wallMs }, 0, nowMs);
    },
    async sweep() {
      const nowMs = ports.monotonicMs();
      const returning: Promise<void>[] = [];
      for (const bucket of known.active()) {
        if (returnIdleLeases(bucket.holder, nowMs)) returning.push(exchange.returnLeases(bucket));
        // A failed return is repeated, so the bucket stays active until it succeeds.
        if (!bucket.isReturning && isDormant(bucket.holder, nowMs)) known.deactivate(bucket);
      }
      known.forgetUnused(nowMs);
      await Promise.all(returning);
    },
    forget: known.forget,
    size: known.size,
    async close() {
      const buckets = [...known.active()];
      // A pending request may still be granted tokens.
      await Promise.all(buckets.map(({ pendingRequest }) => pendingRequest));
      for (const { holder } of buckets) returnAllLeases(holder);
      await Promise.all(buckets.map(exchange.returnLeases));
    },
  };
}

/** The buckets in memory, least recently used first. The active ones may have leases or pending messages. */
function createKnownBuckets(maxBuckets: number, exchange: LeaseExchange) {
  const byId = new Map<string, SharedBucket>();
  const active = new Set<SharedBucket>();
  const retire = (bucket: SharedBucket) => {
    byId.delete(bucket.bucketId);
    active.delete(bucket);
    returnAllLeases(bucket.holder);
    void exchange.returnLeases(bucket);
  };
  return {
    active: (): Iterable<SharedBucket> => active,
    deactivate: (bucket: SharedBucket) => void active.delete(bucket),
    size: () => byId.size,
    /** Forgets inactive buckets that have not been used for a while: a hundred thousand of them would take 60 MB. */
    forgetUnused(nowMs: number): void {
      for (const bucket of byId.values()) {
        if (active.has(bucket) || nowMs - bucket.holder.lastUseMs < IDLE_EVICTION_MS) return;
        byId.delete(bucket.bucketId);
      }
    },
    find({ bucketId, limit }: BucketDemand, nowMs: number): SharedBucket {
      const found = byId.get(bucketId);
      // A new policy has new limit objects. Leases under the old policy are returned.
      const same = found?.limit === limit ? found : undefined;
      if (found !== undefined && same === undefined) retire(found);
      const bucket = same ?? newBucket(bucketId, limit, nowMs);
      active.add(bucket);
      if (nowMs - bucket.movedMs < LRU_TOUCH_INTERVAL_MS) return bucket;
      bucket.movedMs = nowMs;
      byId.delete(bucketId);
      byId.set(bucketId, bucket);
      if (byId.size > maxBuckets) for (const oldest of byId.values().take(1)) retire(oldest);
      return bucket;
    },
    forget(bucketId: string): void {
      const found = byId.get(bucketId);
      if (found === undefined) return;
      byId.delete(bucketId);
      active.delete(found);
    },
  };
}

function newBucket(bucketId: string, limit: RateLimit, nowMs: number): SharedBucket {
  return {
    bucketId,
    limit,
    holder: createLeaseHolder(limit, nowMs),
    pendingRequest: undefined,
    isReturning: false,
    movedMs: Number.NEGATIVE_INFINITY,
  };
}

interface Attempt {
  readonly ports: LeasePoolPorts;
  readonly exchange: LeaseExchange;
  readonly demands: readonly BucketDemand[];
  readonly buckets: readonly SharedBucket[];
  readonly cost: number;
  readonly wallMs: number;
}

function attempt(take: Attempt, round: number, nowMs: number): MaybePromise<TakeOutcome> {
  const { ports, exchange, buckets, cost } = take;
  const lacking = buckets.filter(({ holder }) => availableTokens(holder, nowMs) < cost);
  if (lacking.length === 0) return spendAll(take, nowMs);
  const empty = lacking.some(({ holder }) => emptyForMs(holder, cost, nowMs) > 0);
  if (empty || round === MAX_ROUNDS) return denial(buckets, lacking, cost, nowMs);
  for (const { holder } of lacking) holder.waiting += cost;
  return Promise.all(lacking.map((bucket) => exchange.requestTokens(bucket, cost))).then((responded) => {
    for (const { holder } of lacking) holder.waiting -= cost;
    if (responded.includes(false)) return ports.fallback.take(take.demands, cost, take.wallMs);
    return attempt(take, round + 1, ports.monotonicMs());
  });
}

/** Runs in the same synchronous step as the check of the available tokens. */
function spendAll({ exchange, buckets, cost }: Attempt, nowMs: number): TakeOutcome {
  for (const { holder } of buckets) spendTokens(holder, cost, nowMs);
  for (const bucket of buckets) {
    if (bucket.pendingRequest === undefined && shouldPrefetch(bucket.holder, cost, nowMs))
      void exchange.requestTokens(bucket, cost);
  }
  return { ok: true, rates: ratesOf(buckets, nowMs) };
}

function denial(
  buckets: readonly SharedBucket[],
  lacking: readonly SharedBucket[],
  cost: number,
  nowMs: number,
): TakeOutcome {
  const dueMs = Math.max(...lacking.map(({ holder }) => dueInMs(holder, cost, nowMs)));
  return takeOutcome(ratesOf(buckets, nowMs), Math.max(1, Math.ceil(dueMs / 1000)));
}

/** The remaining tokens are those that this instance holds: a lower bound, because other instances may hold more. */
function ratesOf(buckets: readonly SharedBucket[], nowMs: number) {
  return buckets.map(({ limit, holder }) => rateStatus(limit, availableTokens(holder, nowMs)));
}
