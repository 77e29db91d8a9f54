import type { RateStatus } from "../decision/decision.ts";
import type { MaybePromise } from "../maybe-promise.ts";
import type { RateLimit } from "../policy/policy.ts";
import type { LeaseTraffic, LeaseTrafficPorts, SharedBucket } from "./lease-exchange.ts";
import { createLeaseTraffic } from "./lease-exchange.ts";
import type { BucketDemand, BucketStore, TakeOutcome } from "./ports.ts";
import {
  availableTokens,
  createLeaseHolder,
  dueInMs,
  emptyForMs,
  isDormant,
  recordDemand,
  returnAllLeases,
  returnIdleLeases,
  shouldPrefetch,
  spendTokens,
} from "./token-lease.ts";

export interface LeasePoolPorts extends LeaseTrafficPorts {
  /** Buckets that an instance knows at a time; the one used longest ago goes first, its tokens back to the store. */
  readonly maxBuckets: number;
  /** Decides while the store does not answer. */
  readonly fallback: BucketStore;
}

export interface LeasePool extends BucketStore {
  /** Sends back what nobody uses. To be called every 50 ms or so. */
  sweep(): Promise<void>;
  /** Forgets what it holds of a bucket that was reset. */
  forget(bucketId: string): void;
  /** Sends back everything. */
  close(): Promise<void>;
  /** Buckets that it knows. */
  size(): number;
}

/** So long a bucket counts as used just now: one of a thousand requests a second is not moved as often. */
const LRU_TOUCH_INTERVAL_MS = 50;

/** So long after its last request a bucket may be asked for again as if for the first time. */
const IDLE_EVICTION_MS = 1000;

/** A request that loses the race for what was granted this often in a row is refused: the bucket is contended. */
const MAX_ROUNDS = 16;

/**
 * Buckets shared through leases: the decision is local, the bound exact. What a request lacks is fetched for all
 * its buckets at once; then it spends from all of them in one synchronous step, or from none.
 */
export function createLeasePool(ports: LeasePoolPorts): LeasePool {
  const traffic = createLeaseTraffic(ports);
  const known = createKnownBuckets(ports.maxBuckets, traffic);
  return {
    take(demands, cost, wallMs) {
      const nowMs = ports.monotonicMs();
      const buckets = demands.map((demand) => known.find(demand, nowMs));
      if (cost === 0) return { ok: true, rates: buckets.map((bucket) => rateStatus(bucket, nowMs)) };
      for (const { holder } of buckets) recordDemand(holder, cost, nowMs);
      return attempt({ ports, traffic, demands, buckets, cost, wallMs }, 0, nowMs);
    },
    async sweep() {
      const nowMs = ports.monotonicMs();
      const back: Promise<void>[] = [];
      for (const bucket of known.active()) {
        if (returnIdleLeases(bucket.holder, nowMs)) back.push(traffic.returnLeases(bucket));
        // What is not heard has to be said again.
        if (!bucket.isReturning && isDormant(bucket.holder, nowMs)) known.rest(bucket);
      }
      known.forgetUnused(nowMs);
      await Promise.all(back);
    },
    forget: known.forget,
    size: known.size,
    async close() {
      const buckets = [...known.active()];
      // What is under way may still bring tokens.
      await Promise.all(buckets.map(({ pendingRequest: asking }) => asking));
      for (const { holder } of buckets) returnAllLeases(holder);
      await Promise.all(buckets.map(traffic.returnLeases));
    },
  };
}

/** The buckets that an instance knows, the one used longest ago first, and those among them to look after. */
function createKnownBuckets(maxBuckets: number, traffic: LeaseTraffic) {
  const byId = new Map<string, SharedBucket>();
  const active = new Set<SharedBucket>();
  const retire = (bucket: SharedBucket) => {
    byId.delete(bucket.bucketId);
    active.delete(bucket);
    returnAllLeases(bucket.holder);
    void traffic.returnLeases(bucket);
  };
  return {
    active: (): Iterable<SharedBucket> => active,
    rest: (bucket: SharedBucket) => void active.delete(bucket),
    size: () => byId.size,
    /** Those at rest of which nobody has wanted anything for a while: a hundred thousand of them would be 60 MB. */
    forgetUnused(nowMs: number): void {
      for (const bucket of byId.values()) {
        if (active.has(bucket) || nowMs - bucket.holder.lastUseMs < IDLE_EVICTION_MS) return;
        byId.delete(bucket.bucketId);
      }
    },
    find({ bucketId, limit }: BucketDemand, nowMs: number): SharedBucket {
      const found = byId.get(bucketId);
      // Another limit object comes with another policy: what was leased under the old one goes back.
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
  readonly traffic: LeaseTraffic;
  readonly demands: readonly BucketDemand[];
  readonly buckets: readonly SharedBucket[];
  readonly cost: number;
  readonly wallMs: number;
}

function attempt(take: Attempt, round: number, nowMs: number): MaybePromise<TakeOutcome> {
  const { ports, traffic, buckets, cost } = take;
  const lacking = buckets.filter(({ holder }) => availableTokens(holder, nowMs) < cost);
  if (lacking.length === 0) return spendAll(take, nowMs);
  const empty = lacking.some(({ holder }) => emptyForMs(holder, cost, nowMs) > 0);
  if (empty || round === MAX_ROUNDS) return refusal(buckets, lacking, cost, nowMs);
  for (const { holder } of lacking) holder.waiting += cost;
  return Promise.all(lacking.map((bucket) => traffic.ask(bucket, cost))).then((answered) => {
    for (const { holder } of lacking) holder.waiting -= cost;
    if (answered.includes(false)) return ports.fallback.take(take.demands, cost, take.wallMs);
    return attempt(take, round + 1, ports.monotonicMs());
  });
}

/** Nothing is awaited between seeing that the tokens are there and spending them. */
function spendAll({ traffic, buckets, cost }: Attempt, nowMs: number): TakeOutcome {
  for (const { holder } of buckets) spendTokens(holder, cost, nowMs);
  for (const bucket of buckets) {
    if (bucket.pendingRequest === undefined && shouldPrefetch(bucket.holder, cost, nowMs))
      void traffic.ask(bucket, cost);
  }
  return { ok: true, rates: buckets.map((bucket) => rateStatus(bucket, nowMs)) };
}

function refusal(
  buckets: readonly SharedBucket[],
  lacking: readonly SharedBucket[],
  cost: number,
  nowMs: number,
): TakeOutcome {
  const dueMs = Math.max(...lacking.map(({ holder }) => dueInMs(holder, cost, nowMs)));
  return {
    ok: false,
    reason: "rate_limited",
    retryAfterSeconds: Math.max(1, Math.ceil(dueMs / 1000)),
    rates: buckets.map((bucket) => rateStatus(bucket, nowMs)),
  };
}

/** What is left, as this instance knows: the tokens in its own hand. Others may have more, so it is a lower bound. */
function rateStatus({ limit, holder }: SharedBucket, nowMs: number): RateStatus {
  return {
    name: limit.name,
    capacity: limit.capacity,
    windowSeconds: Math.ceil(limit.capacity / limit.refillPerSecond),
    remaining: availableTokens(holder, nowMs),
  };
}
