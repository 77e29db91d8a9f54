import type { QuotaDemand } from "../quotas/quota-demand.ts";
import type { KnownLimits } from "./known-limits.ts";
import { createKnownLimits } from "./known-limits.ts";
import { recordDemand } from "./lease-demand.ts";
import type { LeaseExchange, SharedLimit } from "./lease-exchange.ts";
import { createLeaseExchange } from "./lease-exchange.ts";
import { isDormant, returnAllLeases, returnIdleLeases } from "./lease-holder.ts";
import type { PooledTakePorts } from "./pooled-take.ts";
import { attempt, costOf, ratesOf } from "./pooled-take.ts";
import type { BucketDemand, DescriptorLimits } from "./ports.ts";

export interface LeasePoolPorts extends Omit<PooledTakePorts, "exchange"> {
  /** Maximum number of buckets and counters in memory. Above it the least recently used one is removed and its tokens are returned. */
  readonly maxBuckets: number;
}

export interface LeasePool extends DescriptorLimits {
  /** Returns unused leases to the store. Call it about every 50 ms. */
  sweep(): Promise<void>;
  /** Drops the leases of a bucket or counter that was reset. */
  forget(id: string): void;
  /** Returns all leases. */
  close(): Promise<void>;
  /** The number of buckets and counters in memory. */
  size(): number;
}

const NO_BUCKETS: readonly BucketDemand[] = [];
const NO_QUOTAS: readonly QuotaDemand[] = [];

/**
 * Buckets and quotas that are shared through leases. The decision is local and the limit is exact. The missing tokens are requested
 * for all of a request's limits at once. Then it spends from all of them in one synchronous step, or from none.
 */
export function createLeasePool(ports: LeasePoolPorts): LeasePool {
  const exchange = createLeaseExchange(ports);
  const known = createKnownLimits(ports.maxBuckets, exchange);
  const takePorts: PooledTakePorts = { ...ports, exchange };
  const findAll = createFindAll(ports, known);
  return {
    take(buckets, cost, wallMs, quotas = NO_QUOTAS, reserve = 0) {
      const nowMs = ports.monotonicMs();
      const limits = findAll(buckets, quotas, nowMs);
      const take = { ports: takePorts, buckets, limits, cost, reserve, wallMs };
      if (cost === 0 && reserve === 0) return { ok: true, rates: ratesOf(take, nowMs) };
      for (const shared of limits) recordDemand(shared.holder, costOf(take, shared), nowMs);
      return attempt(take, 0, nowMs);
    },
    peek({ buckets, quotas }, wallMs) {
      const nowMs = ports.monotonicMs();
      const limits = findAll(buckets, quotas, nowMs);
      return attempt(
        { ports: takePorts, buckets, limits, cost: 1, reserve: 0, wallMs, peeks: true },
        0,
        nowMs,
      );
    },
    async sweep() {
      const nowMs = ports.monotonicMs();
      const returning: Promise<void>[] = [];
      for (const shared of known.active()) {
        if (returnIdleLeases(shared.holder, nowMs)) returning.push(exchange.returnLeases(shared));
        // A failed return is repeated, so the limit stays active until it succeeds.
        if (shared.pendingReturns === 0 && isDormant(shared.holder)) known.deactivate(shared);
      }
      known.forgetUnused(nowMs);
      await Promise.all(returning);
    },
    forget(id) {
      known.forget(id);
      ports.quotas?.forget(id);
    },
    size: known.size,
    close: () => returnAll([...known.all()], exchange),
  };
}

/** Finds everything that a request takes from. */
function createFindAll({ localBuckets }: LeasePoolPorts, known: KnownLimits) {
  return (
    buckets: readonly BucketDemand[],
    quotas: readonly QuotaDemand[],
    nowMs: number,
  ): readonly SharedLimit[] => {
    const leased = localBuckets === undefined ? buckets : NO_BUCKETS;
    // An array that grows takes several times the memory, in every request.
    const shared = new Array<SharedLimit>(leased.length + quotas.length);
    let at = 0;
    for (const demand of leased) shared[at++] = known.findBucket(demand, nowMs);
    for (const demand of quotas) shared[at++] = known.findCounter(demand, nowMs);
    return shared;
  };
}

async function returnAll(limits: readonly SharedLimit[], exchange: LeaseExchange): Promise<void> {
  // A pending request may still be granted tokens.
  await Promise.all(limits.map(({ pendingRequest }) => pendingRequest));
  for (const { holder } of limits) returnAllLeases(holder);
  await Promise.all(limits.map(exchange.returnLeases));
}
