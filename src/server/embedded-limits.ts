import { setTimeout } from "node:timers/promises";
import type { LeasePool, LeasePoolPorts } from "../core/limits/lease-pool.ts";
import { createLeasePool } from "../core/limits/lease-pool.ts";
import type { DescriptorLimits, LimitStore, LocalBuckets } from "../core/limits/ports.ts";
import type { Policy } from "../core/policy/policy.ts";
import type { QuotaExchange, QuotaExchangePorts } from "../core/quotas/quota-exchange.ts";
import { createQuotaExchange } from "../core/quotas/quota-exchange.ts";
import { createBucketStore } from "../memory/bucket-store.ts";
import { withoutThresholds } from "./shared-buckets.ts";

export interface EmbeddedLimitsOptions extends QuotaPorts, Pick<LeasePoolPorts, "maxBuckets"> {
  readonly buckets: LocalBuckets;
  /** Maximum number of buckets and counters of the Rate Limit Service, apart from the others. */
  readonly maxDescriptorBuckets: number;
  readonly faults: () => Pick<Policy["faults"], "quotas">;
}

/** Buckets in memory beside counters in a store, from which this one process leases like an instance of a fleet. */
export interface EmbeddedLimits {
  readonly limits: LimitStore;
  /** Of the Rate Limit Service. No number of descriptors removes a bucket of a key. */
  readonly descriptorLimits: DescriptorLimits;
  /** Those of keys, then those of descriptors. */
  readonly pools: readonly [LeasePool, LeasePool];
  readonly counters: readonly [QuotaExchange, QuotaExchange];
}

export function createEmbeddedLimits({
  buckets,
  faults,
  maxBuckets,
  maxDescriptorBuckets,
  ...ports
}: EmbeddedLimitsOptions): EmbeddedLimits {
  const open = (local: LocalBuckets, max: number, more: QuotaPorts) =>
    openPool(local, max, { ...more, fault: () => faults().quotas });
  const ofKeys = open(buckets, maxBuckets, ports);
  const descriptorBuckets = createBucketStore({ maxBuckets: maxDescriptorBuckets });
  const ofDescriptors = open(descriptorBuckets, maxDescriptorBuckets, {
    ...withoutThresholds(ports),
    instanceId: `${ports.instanceId}.d`,
  });
  return {
    limits: takeFrom(buckets, ofKeys.pool),
    descriptorLimits: {
      ...takeFrom(descriptorBuckets, ofDescriptors.pool),
      peek: (demand, nowMs) =>
        demand.quotas.length === 0
          ? descriptorBuckets.peek(demand.buckets, nowMs)
          : ofDescriptors.pool.peek(demand, nowMs),
    },
    pools: [ofKeys.pool, ofDescriptors.pool],
    counters: [ofKeys.counters, ofDescriptors.counters],
  };
}

type QuotaPorts = Omit<QuotaExchangePorts, "fault" | "delayMs" | "monotonicMs">;

function openPool(
  buckets: LocalBuckets,
  maxBuckets: number,
  ports: QuotaPorts & Pick<QuotaExchangePorts, "fault">,
) {
  const monotonicMs = () => performance.now();
  const counters = createQuotaExchange({ ...ports, monotonicMs, delayMs: setTimeout });
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
  return { pool, counters };
}

function takeFrom(buckets: LocalBuckets, pool: LeasePool): LimitStore {
  return {
    take: (demands, cost, nowMs, quotas, reserve) =>
      quotas === undefined || quotas.length === 0
        ? buckets.take(demands, cost, nowMs)
        : pool.take(demands, cost, nowMs, quotas, reserve),
  };
}
