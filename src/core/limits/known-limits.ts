import type { RateLimit } from "../policy/policy.ts";
import type { QuotaDemand } from "../quotas/quota-demand.ts";
import type { LeaseExchange, SharedCounter, SharedLimit } from "./lease-exchange.ts";
import { createLeaseHolder, returnAllLeases } from "./lease-holder.ts";
import type { BucketDemand } from "./ports.ts";

/** A limit is moved to the end of the LRU order at most once in this time, however many requests use it. */
const LRU_TOUCH_INTERVAL_MS = 50;

/** A limit without leases is forgotten this long after its last use. */
const IDLE_EVICTION_MS = 1000;

/**
 * The buckets and counters in memory, least recently used first. The active ones may have tokens to return or pending messages, also
 * after their removal.
 */
export type KnownLimits = ReturnType<typeof createKnownLimits>;

export function createKnownLimits(max: number, exchange: LeaseExchange) {
  const table = createLimitTable(max, exchange);
  const { byId, active } = table;
  return {
    all: (): Iterable<SharedLimit> => new Set([...byId.values(), ...active]),
    active: (): Iterable<SharedLimit> => active,
    deactivate: (shared: SharedLimit) => void active.delete(shared),
    size: () => byId.size,
    /**
     * Forgets inactive limits that have not been used for a while: a hundred thousand of them would take 60 MB. An active one keeps
     * no other in memory.
     */
    forgetUnused(nowMs: number): void {
      for (const shared of byId.values()) {
        if (nowMs - shared.movedMs < IDLE_EVICTION_MS) return;
        if (!active.has(shared)) table.drop(shared);
      }
    },
    findBucket({ bucketId, limit }: BucketDemand, nowMs: number): SharedLimit {
      const found = byId.get(bucketId);
      // A new policy has new limit objects. Leases under the old policy are returned.
      const same = found?.quota === undefined && found?.limit === limit ? found : undefined;
      if (found !== undefined && same === undefined) table.retire(found);
      return table.use(same ?? newBucket(bucketId, limit, nowMs), nowMs);
    },
    findCounter(demand: QuotaDemand, nowMs: number): SharedLimit {
      const found = byId.get(demand.holderId);
      // Another time zone has other windows.
      const same = found?.quota?.calendar === demand.calendar ? found : undefined;
      if (found !== undefined && same === undefined) table.retire(found);
      return table.use(same ?? newCounter(demand, nowMs), nowMs);
    },
    /** @param id of a bucket, or of a counter: then of every limit */
    forget(id: string): void {
      const found = byId.get(id);
      if (found !== undefined) table.drop(found);
      for (const counter of table.countersOf(id)) table.drop(counter);
    },
  };
}

function createLimitTable(max: number, exchange: LeaseExchange) {
  const byId = new Map<string, SharedLimit>();
  const active = new Set<SharedLimit>();
  const counters = createCounterIndex();
  const remove = (shared: SharedLimit) => {
    byId.delete(shared.id);
    if (shared.quota !== undefined) counters.delete(shared);
  };
  const drop = (shared: SharedLimit) => {
    remove(shared);
    active.delete(shared);
  };
  /** It stays active: a pending request may still be granted tokens, and a return may fail. */
  const retire = (shared: SharedLimit) => {
    remove(shared);
    returnAllLeases(shared.holder);
    void exchange.returnLeases(shared);
  };
  const use = (shared: SharedLimit, nowMs: number): SharedLimit => {
    active.add(shared);
    if (nowMs - shared.movedMs < LRU_TOUCH_INTERVAL_MS) return shared;
    shared.movedMs = nowMs;
    byId.delete(shared.id);
    byId.set(shared.id, shared);
    if (shared.quota !== undefined) counters.add(shared);
    if (byId.size > max) for (const oldest of byId.values().take(1)) retire(oldest);
    return shared;
  };
  return { byId, active, drop, retire, use, countersOf: counters.of };
}

function newBucket(bucketId: string, limit: RateLimit, nowMs: number): SharedLimit {
  return { ...leaseState(bucketId), limit, quota: undefined, holder: createLeaseHolder(limit, nowMs) };
}

function leaseState(id: string) {
  return { id, pendingRequest: undefined, pendingReturns: 0, movedMs: Number.NEGATIVE_INFINITY };
}

/** Nothing refills a quota, and the store decides how much is leased ahead. */
function newCounter(demand: QuotaDemand, nowMs: number): SharedLimit {
  const { holderId, quota, extra } = demand;
  const capacity = quota.limit + (extra?.units ?? 0);
  const limit = { capacity, refillPerSecond: Number.POSITIVE_INFINITY, leased: true };
  return { ...leaseState(holderId), quota: demand, holder: createLeaseHolder(limit, nowMs) };
}

/** The counters in memory, by the id of the counter. */
function createCounterIndex() {
  const byCounter = new Map<string, Set<SharedCounter>>();
  return {
    of: (counterId: string): readonly SharedCounter[] => [...(byCounter.get(counterId) ?? [])],
    add(shared: SharedCounter): void {
      const { counterId } = shared.quota;
      const limits = byCounter.get(counterId);
      if (limits === undefined) byCounter.set(counterId, new Set([shared]));
      else limits.add(shared);
    },
    delete(shared: SharedCounter): void {
      const { counterId } = shared.quota;
      const limits = byCounter.get(counterId);
      limits?.delete(shared);
      if (limits?.size === 0) byCounter.delete(counterId);
    },
  };
}
