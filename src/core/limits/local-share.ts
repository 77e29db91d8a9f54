import type { RateLimit } from "../policy/policy.ts";
import type { Outage } from "./breaker.ts";
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
  /** The outage of the server that holds this bucket; undefined while it is available. */
  readonly outageOf: (bucketId: string) => Outage | undefined;
  readonly monotonicMs: () => number;
  /** `faults.local_max` in milliseconds. */
  readonly localMaxMs: () => number;
  readonly maxBuckets: number;
}

/**
 * Each instance's share of a bucket while the store is unavailable. It starts empty, refills at r/N, and only an instance that
 * all others have counted may use it. Any two instances that may use their shares have counted each other, so all shares
 * together refill no faster than one bucket: admitted ≤ C + r·(T + outage). The same holds if only some servers fail: a share
 * never refills twice for the same time.
 */
export function createLocalShares(ports: LocalSharePorts): BucketStore {
  let shares = new Map<string, ShareState>();
  let outages: readonly Outage[] = [];
  /** Forgets the shares once all outages that they belong to are over. */
  const begin = (outage: Outage) => {
    if (outages.includes(outage)) return;
    const ongoing = outages.filter(({ isOver }) => !isOver());
    if (ongoing.length === 0) shares = new Map();
    outages = [...ongoing, outage];
  };
  return {
    take(demands, cost) {
      const own = demands.map(({ bucketId }) => ports.outageOf(bucketId));
      const newest = own.reduce((a, b) => ((b?.sinceMs ?? 0) > (a?.sinceMs ?? 0) ? b : (a ?? b)), undefined);
      for (const outage of own) if (outage !== undefined) begin(outage);
      const parts = fleetSizeIfEntitled(ports);
      if (parts === undefined) return UNAVAILABLE;
      return takeShares(shares, demands, cost, {
        parts,
        // A bucket whose server responds is served with the others of its request.
        outages: own.map((outage) => outage ?? newest),
        nowMs: ports.monotonicMs(),
        maxBuckets: ports.maxBuckets,
      });
    },
  };
}

interface ShareState extends BucketState {
  readonly outage: Outage | undefined;
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
  /** For each demand; undefined if no server fails any more. */
  readonly outages: readonly (Outage | undefined)[];
  readonly nowMs: number;
  readonly maxBuckets: number;
}

function takeShares(
  shares: Map<string, ShareState>,
  demands: readonly BucketDemand[],
  cost: number,
  { parts, outages, nowMs, maxBuckets }: Division,
): TakeOutcome {
  const found = demands.map(({ bucketId, limit }, at) => {
    const share = shareOf(limit, parts);
    const state = stateOf(shares.get(bucketId), outages[at], nowMs);
    return { bucketId, limit, share, state: { ...state, ...refillBucket(state, share, nowMs) } };
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

/** A share starts empty with its outage, and never earlier than it was last refilled. */
function stateOf(kept: ShareState | undefined, outage: Outage | undefined, nowMs: number): ShareState {
  if (kept !== undefined && outage !== undefined && kept.outage === outage) return kept;
  const stampMs = Math.max(outage?.sinceMs ?? nowMs, kept?.stampMs ?? 0);
  return { levelMicro: 0, stampMs, outage };
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
