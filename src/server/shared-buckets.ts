import { setImmediate as nextTurn, setTimeout } from "node:timers/promises";
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
import type { ServerBreakers } from "../redis/server-breakers.ts";
import { createServerBreakers } from "../redis/server-breakers.ts";
import type { SpreadClient } from "../redis/spread-client.ts";
import type { FleetGuard } from "./fleet-guard.ts";

/** Three failures in a row are an outage. From then on, one probe at a time finds out whether it has ended. */
const BREAKER = { threshold: 3, probeEveryMs: 200 };

/** Units that were posted within this time are posted again to a Redis that may have lost them. */
const KEEP_MS = 60_000;

export interface SharedBucketsOptions
  extends Pick<LeasePoolPorts, "monotonicMs" | "instanceId" | "maxBuckets"> {
  /** Maximum number of buckets and counters of the Rate Limit Service, apart from the others. */
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
  /** Of keys first. The units that are counted while Redis is unavailable; none without quotas. */
  readonly counters: readonly QuotaExchange[];
}

/** Clients choose the values of descriptors, so their counters write no audit events. */
export function withoutThresholds<Ports extends Pick<QuotaExchangePorts, "onThreshold">>({
  onThreshold: _,
  ...ports
}: Ports): Omit<Ports, "onThreshold"> {
  return ports;
}

export function createSharedBuckets(options: SharedBucketsOptions): SharedBuckets {
  const { client, spread, faults, newRandom, monotonicMs, instanceId } = options;
  const servers = createServerBreakers(spread, { newBreaker: () => createBreaker(BREAKER), monotonicMs });
  const localMaxMs = () => faults().localMaxMs;
  const membership = createMembership(client, { instanceId, monotonicMs, localMaxMs, newRandom });
  const open = createPools(options, servers, membership);
  const ofKeys = open({ instanceId, maxBuckets: options.maxBuckets, quotas: options.quotas });
  const ofDescriptors = open({
    instanceId: `${instanceId}.d`,
    maxBuckets: options.maxDescriptorBuckets,
    quotas: options.quotas && withoutThresholds(options.quotas),
  });
  return {
    pool: ofKeys.pool,
    descriptorPool: ofDescriptors.pool,
    counters: [ofKeys.counters, ofDescriptors.counters].filter((each) => each !== undefined),
    membership: {
      ...membership,
      async heartbeat() {
        await membership.heartbeat();
        await servers.probe();
      },
    },
  };
}

interface PoolOptions extends Pick<LeasePoolPorts, "instanceId" | "maxBuckets"> {
  readonly quotas: SharedBucketsOptions["quotas"];
}

/** Opens pools that share the connection, and know together whether it works. */
function createPools(
  { spread, guard, faults, monotonicMs, observe }: SharedBucketsOptions,
  servers: ServerBreakers,
  { current }: Pick<FleetMembership, "current">,
) {
  const leases = createLeaseStore(spread, servers);
  const steps = createQuotaStore(spread, servers);
  return ({ instanceId, maxBuckets, quotas }: PoolOptions) => {
    const counters =
      quotas &&
      createQuotaExchange({
        ...quotas,
        store: guard?.counters(steps) ?? steps,
        monotonicMs,
        instanceId,
        fault: () => faults().quotas ?? "count",
        delayMs: setTimeout,
        nextTurn,
        keepMs: KEEP_MS,
      });
    const local = createLocalShares({
      membership: current,
      outageOf: (bucketId) => servers.outageOf(spread.keys.bucket(bucketId)),
      monotonicMs,
      localMaxMs: () => faults().localMaxMs,
      maxBuckets,
    });
    const pool = createLeasePool({
      store: guard?.leases(leases) ?? leases,
      fallback: createFaultPolicy(() => faults().limits, local),
      monotonicMs,
      instanceId,
      maxBuckets,
      ...(observe && { observe }),
      ...(counters && { quotas: counters }),
    });
    return { pool, counters };
  };
}
