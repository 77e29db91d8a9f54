import { setTimeout } from "node:timers/promises";
import { createBreaker } from "../core/limits/breaker.ts";
import type { LeasePool, LeasePoolPorts } from "../core/limits/lease-pool.ts";
import { createLeasePool } from "../core/limits/lease-pool.ts";
import { createFaultPolicy, createLocalShares } from "../core/limits/local-share.ts";
import type { Policy } from "../core/policy/policy.ts";
import type { QuotaExchange, QuotaExchangePorts } from "../core/quotas/quota-exchange.ts";
import { createQuotaExchange } from "../core/quotas/quota-exchange.ts";
import type { RedisClient } from "../redis/client.ts";
import { createLeaseStore } from "../redis/lease-store.ts";
import type { FleetMembership } from "../redis/membership.ts";
import { createMembership } from "../redis/membership.ts";
import { createQuotaStore } from "../redis/quota-store.ts";
import { createServerBreakers } from "../redis/server-breakers.ts";
import type { SpreadClient } from "../redis/spread-client.ts";
import type { FleetGuard } from "./fleet-guard.ts";

/** Three failures in a row are an outage. From then on, one probe at a time finds out whether it has ended. */
const BREAKER = { threshold: 3, probeEveryMs: 200 };

export interface SharedBucketsOptions
  extends Pick<LeasePoolPorts, "monotonicMs" | "instanceId" | "maxBuckets"> {
  /** Maximum number of buckets of the Rate Limit Service, apart from the others. */
  readonly maxDescriptorBuckets: number;
  readonly client: RedisClient;
  readonly spread: SpreadClient;
  /** Absent: the instance belongs to the fleet. */
  readonly guard?: Pick<FleetGuard, "leases" | "counters">;
  readonly faults: () => Pick<Policy["faults"], "limits" | "localMaxMs"> &
    Partial<Pick<Policy["faults"], "quotas">>;
  readonly newRandom: () => string;
  readonly observe?: NonNullable<LeasePoolPorts["observe"]>;
  /** Absent: no policy has quotas. */
  readonly quotas?: Pick<QuotaExchangePorts, "storeNowMs" | "onThreshold" | "observe">;
}

/** Buckets and counters that all instances share, and the heartbeat by which each instance knows its share for the time when Redis is unavailable. */
export interface SharedBuckets {
  readonly pool: LeasePool;
  /** Of the Rate Limit Service. No number of descriptors takes a bucket of a key, also while Redis is unavailable. */
  readonly descriptorPool: LeasePool;
  readonly membership: FleetMembership;
  /** Absent without quotas. */
  readonly counters: QuotaExchange | undefined;
}

export function createSharedBuckets({
  client,
  spread,
  guard,
  faults,
  newRandom,
  quotas,
  maxBuckets,
  maxDescriptorBuckets,
  ...ports
}: SharedBucketsOptions): SharedBuckets {
  const { monotonicMs, instanceId } = ports;
  const localMaxMs = () => faults().localMaxMs;
  const servers = createServerBreakers(spread, { newBreaker: () => createBreaker(BREAKER), monotonicMs });
  const leases = createLeaseStore(spread, servers);
  const membership = createMembership(client, { instanceId, monotonicMs, localMaxMs, newRandom });
  const store = createQuotaStore(spread, servers);
  const counters =
    quotas &&
    createQuotaExchange({
      ...quotas,
      store: guard?.counters(store) ?? store,
      monotonicMs,
      instanceId,
      fault: () => faults().quotas ?? "count",
      delayMs: setTimeout,
    });
  const openPool = (max: number, more: Partial<LeasePoolPorts>) => {
    const local = createLocalShares({
      membership: membership.current,
      outageOf: (bucketId) => servers.outageOf(spread.keys.bucket(bucketId)),
      monotonicMs,
      localMaxMs,
      maxBuckets: max,
    });
    const fallback = createFaultPolicy(() => faults().limits, local);
    return createLeasePool({
      ...ports,
      store: guard?.leases(leases) ?? leases,
      fallback,
      maxBuckets: max,
      ...more,
    });
  };
  return {
    pool: openPool(maxBuckets, counters ? { quotas: counters } : {}),
    descriptorPool: openPool(maxDescriptorBuckets, { instanceId: `${instanceId}.d` }),
    counters,
    membership: {
      ...membership,
      async heartbeat() {
        await membership.heartbeat();
        await servers.probe();
      },
    },
  };
}
