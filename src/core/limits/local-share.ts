import type { RateLimit } from "../policy/policy.ts";
import type { BucketDemand, BucketStore, TakeOutcome } from "./ports.ts";
import { rateStatus } from "./rate-status.ts";
import { secondsUntil, takeOutcome } from "./retry-after.ts";
import type { BucketLimit, BucketState } from "./token-bucket.ts";
import { MICRO, refillBucket } from "./token-bucket.ts";

/** The fleet at an instance's last contact with the store. Times are milliseconds of its monotonic clock. */
export interface Membership {
  /** The number of instances, including this one; from 1. */
  readonly members: number;
  /** When the last heartbeat that got a response was sent. */
  readonly contactMs: number;
  /** Whether every known member has counted this instance, in a store whose history is long enough to know. */
  readonly counted: boolean;
}

export interface LocalSharePorts {
  /** Undefined before the first contact. */
  readonly membership: () => Membership | undefined;
  /** When the store became unavailable; undefined while it is available. */
  readonly outageSinceMs: () => number | undefined;
  readonly monotonicMs: () => number;
  /** `faults.local_max` in milliseconds. */
  readonly localMaxMs: () => number;
  readonly maxBuckets: number;
}

/**
 * Each instance's share of a bucket while the store is unavailable. It starts empty, refills at r/N, and only an instance that
 * all others have counted may use it. Any two instances that may use their shares have counted each other, so all shares
 * together refill no faster than one bucket: admitted ≤ C + r·(T + outage).
 */
export function createLocalShares(ports: LocalSharePorts): BucketStore {
  let shares = new Map<string, BucketState>();
  let startedMs: number | undefined;
  return {
    take(demands, cost) {
      const sinceMs = ports.outageSinceMs() ?? ports.monotonicMs();
      if (sinceMs !== startedMs) {
        shares = new Map();
        startedMs = sinceMs;
      }
      const parts = fleetSizeIfEntitled(ports);
      if (parts === undefined) return UNAVAILABLE;
      return takeShares(shares, demands, cost, {
        parts,
        sinceMs,
        nowMs: ports.monotonicMs(),
        maxBuckets: ports.maxBuckets,
      });
    },
  };
}

const UNAVAILABLE: TakeOutcome = { ok: false, reason: "limits_unavailable", retryAfterSeconds: 1, rates: [] };

/** The number of parts that a bucket is divided into; undefined if this instance may not use its part. */
function fleetSizeIfEntitled(ports: LocalSharePorts): number | undefined {
  const membership = ports.membership();
  if (membership === undefined || !membership.counted) return undefined;
  const stale = ports.monotonicMs() - membership.contactMs > ports.localMaxMs();
  return stale ? undefined : membership.members;
}

interface Division {
  readonly parts: number;
  readonly sinceMs: number;
  readonly nowMs: number;
  readonly maxBuckets: number;
}

function takeShares(
  shares: Map<string, BucketState>,
  demands: readonly BucketDemand[],
  cost: number,
  { parts, sinceMs, nowMs, maxBuckets }: Division,
): TakeOutcome {
  const found = demands.map(({ bucketId, limit }) => {
    const share = shareOf(limit, parts);
    const state = shares.get(bucketId) ?? { levelMicro: 0, stampMs: sinceMs };
    return { bucketId, limit, share, state: refillBucket(state, share, nowMs) };
  });
  if (found.some(({ share }) => share.capacity < Math.max(1, cost))) return UNAVAILABLE;
  // A forgotten share would start again from the beginning of the outage, so new buckets above the maximum are denied.
  const unknown = found.filter(({ bucketId }) => !shares.has(bucketId)).length;
  if (shares.size + unknown > maxBuckets) return UNAVAILABLE;
  const waits = found.map(({ state, share }) => secondsUntil(state, share, cost));
  const retryAfterSeconds = Math.max(0, ...waits);
  const spentMicro = retryAfterSeconds === 0 ? cost * MICRO : 0;
  const rates = found.map(({ bucketId, limit, state }) => {
    const levelMicro = state.levelMicro - spentMicro;
    shares.set(bucketId, { ...state, levelMicro });
    return rateStatus(limit, levelMicro / MICRO);
  });
  return takeOutcome(rates, retryAfterSeconds);
}

function shareOf(limit: RateLimit, parts: number): BucketLimit {
  return { capacity: limit.capacity / parts, refillPerSecond: limit.refillPerSecond / parts };
}

/** Decides requests by `faults.limits` of the policy while the store is unavailable. Reads the mode at each request. */
export function createFaultPolicy(mode: () => "local" | "deny" | "allow", local: BucketStore): BucketStore {
  return {
    take(demands, cost, nowMs) {
      switch (mode()) {
        case "local":
          return local.take(demands, cost, nowMs);
        case "deny":
          return UNAVAILABLE;
        case "allow":
          return { ok: true, rates: [] };
      }
    },
  };
}
