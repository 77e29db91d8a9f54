import type { RateLimit } from "../policy/policy.ts";
import type { BucketDemand, BucketStore, TakeOutcome } from "./ports.ts";
import type { BucketLimit, BucketState } from "./token-bucket.ts";
import { MICRO, refillBucket, secondsUntil } from "./token-bucket.ts";

/** What an instance knew of its fleet when it last heard from the store. Milliseconds of its monotonic clock. */
export interface Membership {
  /** Instances, itself among them; from 1. */
  readonly members: number;
  /** When the last answered beat was sent. */
  readonly contactMs: number;
  /** Whether every member that it knows has counted it, in a store whose memory reaches back far enough. */
  readonly counted: boolean;
}

export interface LocalSharePorts {
  /** Undefined before the first contact. */
  readonly membership: () => Membership | undefined;
  /** When the store stopped answering; undefined while it answers. */
  readonly outageSinceMs: () => number | undefined;
  readonly monotonicMs: () => number;
  /** `faults.local_max` in milliseconds. */
  readonly localMaxMs: () => number;
  readonly maxBuckets: number;
}

/**
 * Each instance's share of a bucket while the store is gone: it starts empty, refills at r/N, and is used only by
 * whom all others have counted. Any two instances that may use theirs have counted each other, so the shares sum up
 * to at most one refill: admitted ≤ C + r·(T + outage).
 */
export function createLocalShares(ports: LocalSharePorts): BucketStore {
  let shares = new Map<string, BucketState>();
  let sharesOfMs: number | undefined;
  return {
    take(demands, cost) {
      const sinceMs = ports.outageSinceMs() ?? ports.monotonicMs();
      if (sinceMs !== sharesOfMs) {
        shares = new Map();
        sharesOfMs = sinceMs;
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

/** Into how many parts a bucket is divided; undefined when this instance may not use one. */
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
  // A share that is not remembered would start anew from the outage's begin: beyond the bound nobody new is served.
  const unknown = found.filter(({ bucketId }) => !shares.has(bucketId)).length;
  if (shares.size + unknown > maxBuckets) return UNAVAILABLE;
  const waits = found.map(({ state, share }) => secondsUntil(state, share, cost));
  const retryAfterSeconds = Math.max(0, ...waits);
  const spentMicro = retryAfterSeconds === 0 ? cost * MICRO : 0;
  const rates = found.map(({ bucketId, limit, state }) => {
    const levelMicro = state.levelMicro - spentMicro;
    shares.set(bucketId, { ...state, levelMicro });
    return rateOf(limit, levelMicro);
  });
  return retryAfterSeconds === 0
    ? { ok: true, rates }
    : { ok: false, reason: "rate_limited", retryAfterSeconds, rates };
}

function shareOf(limit: RateLimit, parts: number): BucketLimit {
  return { capacity: limit.capacity / parts, refillPerSecond: limit.refillPerSecond / parts };
}

function rateOf(limit: RateLimit, levelMicro: number) {
  return {
    name: limit.name,
    capacity: limit.capacity,
    windowSeconds: Math.ceil(limit.capacity / limit.refillPerSecond),
    remaining: Math.floor(levelMicro / MICRO),
  };
}

/** `faults.limits` of the policy, looked up at each request: what becomes of requests while the store is gone. */
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
