import { setTimeout } from "node:timers/promises";
import type { LeasePool, LeasePoolPorts } from "../core/limits/lease-pool.ts";
import { createLeasePool } from "../core/limits/lease-pool.ts";
import type { DescriptorBuckets, LimitStore, LocalBuckets } from "../core/limits/ports.ts";
import type { Policy } from "../core/policy/policy.ts";
import type { QuotaExchange, QuotaExchangePorts } from "../core/quotas/quota-exchange.ts";
import { createQuotaExchange } from "../core/quotas/quota-exchange.ts";
import { createBucketStore } from "../memory/bucket-store.ts";

export interface EmbeddedLimitsOptions
  extends Omit<QuotaExchangePorts, "fault" | "delayMs" | "monotonicMs">,
    Pick<LeasePoolPorts, "maxBuckets"> {
  readonly buckets: LocalBuckets;
  /** Maximum number of buckets of the Rate Limit Service, apart from the others. */
  readonly maxDescriptorBuckets: number;
  readonly faults: () => Pick<Policy["faults"], "quotas">;
}

/** Buckets in memory beside counters in a store, from which this one process leases like an instance of a fleet. */
export interface EmbeddedLimits {
  readonly limits: LimitStore;
  /** Of the Rate Limit Service. No number of descriptors removes a bucket of a key. */
  readonly descriptorBuckets: DescriptorBuckets;
  readonly pool: LeasePool;
  readonly counters: QuotaExchange;
}

export function createEmbeddedLimits({
  buckets,
  faults,
  maxBuckets,
  maxDescriptorBuckets,
  ...ports
}: EmbeddedLimitsOptions): EmbeddedLimits {
  const monotonicMs = () => performance.now();
  const counters = createQuotaExchange({
    ...ports,
    monotonicMs,
    fault: () => faults().quotas,
    delayMs: setTimeout,
  });
  const pool = createLeasePool({
    quotas: counters,
    localBuckets: buckets,
    // Both serve leased buckets only, and no bucket of this store is leased.
    store: { step: () => Promise.reject(new RangeError("buckets of one process are not leased")) },
    fallback: buckets,
    monotonicMs,
    instanceId: ports.instanceId,
    maxBuckets,
  });
  return {
    limits: {
      take: (demands, cost, nowMs, quotas, reserve) =>
        quotas === undefined || quotas.length === 0
          ? buckets.take(demands, cost, nowMs)
          : pool.take(demands, cost, nowMs, quotas, reserve),
    },
    descriptorBuckets: createBucketStore({ maxBuckets: maxDescriptorBuckets }),
    pool,
    counters,
  };
}
