import type { LeaseStore } from "../src/core/limits/lease-exchange.ts";
import type { LeasedBucket, LeaseReply } from "../src/core/limits/leased-bucket.ts";
import { fullLeasedBucket, leaseStep } from "../src/core/limits/leased-bucket.ts";
import type { RateLimit } from "../src/core/policy/policy.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** The default of REDIS_COMMAND_TIMEOUT_MS. */
const COMMAND_TIMEOUT_MS = 50;

/** A shared store in virtual time. `leaseStep` mirrors lease.lua and `heartbeat` mirrors heartbeat.lua (src/redis/scripts). */
export interface SimulatedStore extends LeaseStore {
  /** Sends one heartbeat. Undefined while the store is unavailable. */
  heartbeat(instanceId: string): HeartbeatReply | undefined;
  setReachable(reachable: boolean): void;
  /** Loses all data and starts a new epoch. */
  loseData(): void;
  commands(): number;
  outstanding(bucketId: string): number;
}

export interface HeartbeatReply {
  /** Whether the instance was no member before. */
  readonly isNew: boolean;
  readonly members: number;
  /** Milliseconds since the oldest heartbeat of another member, or -1 without one. */
  readonly oldestMs: number;
  readonly epochAgeMs: number;
}

export function createSimulatedStore(
  time: VirtualTime,
  options: { readonly delayMs: () => number; readonly localMaxMs: number },
): SimulatedStore {
  const buckets = new Map<string, LeasedBucket>();
  const membership = createMembership(options.localMaxMs);
  let epochMs = Number.NEGATIVE_INFINITY;
  let reachable = true;
  let commands = 0;
  const step: LeaseStore["step"] = (bucketId, limit, settlements, request) => {
    const { promise, resolve, reject } = Promise.withResolvers<LeaseReply>();
    const sentMs = time.nowMs();
    commands++;
    time.at(sentMs + options.delayMs(), () => {
      if (!reachable)
        return time.at(sentMs + COMMAND_TIMEOUT_MS, () => reject(new Error("the store does not respond")));
      const nowUs = Math.round(time.nowMs() * 1000);
      const reply = leaseStep(bucketOf(buckets, bucketId, limit, nowUs), limit, settlements, request, nowUs);
      time.at(time.nowMs() + options.delayMs(), () => resolve(reply));
    });
    return promise;
  };
  return {
    step,
    heartbeat(instanceId) {
      if (!reachable) return undefined;
      return { ...membership.record(instanceId, time.nowMs()), epochAgeMs: time.nowMs() - epochMs };
    },
    setReachable(next) {
      reachable = next;
    },
    loseData() {
      buckets.clear();
      membership.clear();
      epochMs = time.nowMs();
    },
    commands: () => commands,
    outstanding: (bucketId) => outstandingTokens(buckets.get(bucketId)),
  };
}

function bucketOf(
  buckets: Map<string, LeasedBucket>,
  bucketId: string,
  limit: RateLimit,
  nowUs: number,
): LeasedBucket {
  const bucket = buckets.get(bucketId) ?? fullLeasedBucket(limit, nowUs);
  buckets.set(bucketId, bucket);
  return bucket;
}

function outstandingTokens(bucket: LeasedBucket | undefined): number {
  return [...(bucket?.leases.values() ?? [])].reduce((sum, { tokens }) => sum + tokens, 0);
}

function createMembership(localMaxMs: number) {
  const heartbeats = new Map<string, number>();
  return {
    record(instanceId: string, nowMs: number) {
      for (const [id, sentMs] of heartbeats) if (sentMs < nowMs - localMaxMs) heartbeats.delete(id);
      const isNew = !heartbeats.has(instanceId);
      heartbeats.set(instanceId, nowMs);
      let oldestMs = -1;
      for (const [id, sentMs] of heartbeats)
        if (id !== instanceId) oldestMs = Math.max(oldestMs, nowMs - sentMs);
      return { isNew, members: heartbeats.size, oldestMs };
    },
    clear: () => heartbeats.clear(),
  };
}
