import type { Breaker } from "../src/core/limits/breaker.ts";
import { createBreaker } from "../src/core/limits/breaker.ts";
import type { LeasePool } from "../src/core/limits/lease-pool.ts";
import { createLeasePool } from "../src/core/limits/lease-pool.ts";
import type { Membership } from "../src/core/limits/local-share.ts";
import { createFaultPolicy, createLocalShares } from "../src/core/limits/local-share.ts";
import type { SimulatedStore } from "./simulated-store.ts";
import type { VirtualTime } from "./virtual-time.ts";

const BREAKER = { threshold: 3, probeEveryMs: 200 };

/** One instance, connected as in src/server/redis-stores.ts. */
export interface SimulatedInstance {
  readonly pool: LeasePool;
  heartbeat(): void;
}

export interface InstanceOptions {
  readonly store: SimulatedStore;
  readonly time: VirtualTime;
  /** Unique among instances and their restarts. */
  readonly instanceId: string;
  readonly localMaxMs: number;
  readonly maxBuckets: number;
}

export function createSimulatedInstance({ store, time, ...options }: InstanceOptions): SimulatedInstance {
  const breaker = createBreaker(BREAKER);
  let membership: Membership | undefined;
  let joinedMs = 0;
  const local = createLocalShares({
    membership: () => membership,
    outageOf: () => breaker.outage(),
    monotonicMs: time.nowMs,
    localMaxMs: () => options.localMaxMs,
    maxBuckets: options.maxBuckets,
  });
  const pool = createLeasePool({
    store: { step: guarded(store, breaker, time) },
    monotonicMs: time.nowMs,
    instanceId: options.instanceId,
    maxBuckets: options.maxBuckets,
    fallback: createFaultPolicy(() => "local", local),
  });
  return {
    pool,
    heartbeat() {
      const reply = store.heartbeat(options.instanceId);
      if (reply === undefined) return;
      if (reply.isNew) joinedMs = time.nowMs();
      const counted =
        (reply.oldestMs === -1 || time.nowMs() - reply.oldestMs >= joinedMs) &&
        reply.epochAgeMs > options.localMaxMs;
      membership = { members: reply.members, contactMs: time.nowMs(), counted };
    },
  };
}

function guarded(store: SimulatedStore, breaker: Breaker, time: VirtualTime): SimulatedStore["step"] {
  return async (...args) => {
    if (!breaker.admits(time.nowMs())) throw new Error("the breaker is open");
    try {
      const reply = await store.step(...args);
      breaker.succeeded();
      return reply;
    } catch (error) {
      breaker.failed(time.nowMs());
      throw error;
    }
  };
}
