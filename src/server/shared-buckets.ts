import { createBreaker } from "../core/limits/breaker.ts";
import type { LeasePool, LeasePoolPorts } from "../core/limits/lease-pool.ts";
import { createLeasePool } from "../core/limits/lease-pool.ts";
import { createFaultPolicy, createLocalShares } from "../core/limits/local-share.ts";
import type { Policy } from "../core/policy/policy.ts";
import type { RedisClient } from "../redis/client.ts";
import { createLeaseStore } from "../redis/lease-store.ts";
import type { FleetMembership } from "../redis/membership.ts";
import { createMembership } from "../redis/membership.ts";
import type { SpreadClient } from "../redis/spread-client.ts";
import type { FleetGuard } from "./fleet-guard.ts";

/** Three failures in a row are an outage. From then on, one probe at a time finds out whether it has ended. */
const BREAKER = { threshold: 3, probeEveryMs: 200 };

export interface SharedBucketsOptions
  extends Pick<LeasePoolPorts, "monotonicMs" | "instanceId" | "maxBuckets"> {
  readonly client: RedisClient;
  readonly spread: SpreadClient;
  /** Absent: the instance belongs to the fleet. */
  readonly guard?: Pick<FleetGuard, "leases">;
  readonly faults: () => Pick<Policy["faults"], "limits" | "localMaxMs">;
  readonly newRandom: () => string;
  readonly observe?: NonNullable<LeasePoolPorts["observe"]>;
}

/** Buckets that all instances share, and the heartbeat by which each instance knows its share for the time when Redis is unavailable. */
export interface SharedBuckets {
  readonly pool: LeasePool;
  readonly membership: FleetMembership;
}

export function createSharedBuckets({
  client,
  spread,
  guard,
  faults,
  newRandom,
  ...ports
}: SharedBucketsOptions): SharedBuckets {
  const { monotonicMs, instanceId, maxBuckets } = ports;
  const localMaxMs = () => faults().localMaxMs;
  const leases = createLeaseStore(spread, { newBreaker: () => createBreaker(BREAKER), monotonicMs });
  const membership = createMembership(client, { instanceId, monotonicMs, localMaxMs, newRandom });
  const local = createLocalShares({
    membership: membership.current,
    outageOf: leases.outageOf,
    monotonicMs,
    localMaxMs,
    maxBuckets,
  });
  const pool = createLeasePool({
    ...ports,
    store: guard?.leases(leases) ?? leases,
    fallback: createFaultPolicy(() => faults().limits, local),
  });
  return {
    pool,
    membership: {
      ...membership,
      async heartbeat() {
        await membership.heartbeat();
        await leases.probe();
      },
    },
  };
}
