import type { LeaseStore } from "../src/core/limits/lease-exchange.ts";
import type { LeasedBucket, LeaseReply } from "../src/core/limits/leased-bucket.ts";
import { fullLeasedBucket, leaseStep } from "../src/core/limits/leased-bucket.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** What a command waits for at most, as REDIS_COMMAND_TIMEOUT_MS. */
const COMMAND_TIMEOUT_MS = 50;

/** A shared store in virtual time: `leaseStep` is what redis/lease.lua does, `beat` what redis/beat.lua does. */
export interface SimulatedStore extends LeaseStore {
  /** One heartbeat; undefined while it does not answer. */
  beat(instanceId: string): Beat | undefined;
  setReachable(reachable: boolean): void;
  /** Everything that it knew is gone; a new epoch begins. */
  lose(): void;
  commands(): number;
  outstanding(bucketId: string): number;
}

export interface Beat {
  readonly anew: boolean;
  readonly members: number;
  /** -1 without another member. */
  readonly oldestMs: number;
  readonly epochAgeMs: number;
}

export function createSimulatedStore(
  time: VirtualTime,
  options: { readonly delayMs: () => number; readonly localMaxMs: number },
): SimulatedStore {
  let buckets = new Map<string, LeasedBucket>();
  let beats = new Map<string, number>();
  let epochMs = Number.NEGATIVE_INFINITY;
  let reachable = true;
  let commands = 0;
  const step: LeaseStore["step"] = (bucketId, limit, settlements, ask) => {
    const { promise, resolve, reject } = Promise.withResolvers<LeaseReply>();
    const sentMs = time.nowMs();
    const silence = () => time.at(sentMs + COMMAND_TIMEOUT_MS, () => reject(new Error("no answer")));
    commands++;
    time.at(sentMs + options.delayMs(), () => {
      if (!reachable) return silence();
      const nowUs = Math.round(time.nowMs() * 1000);
      const bucket = buckets.get(bucketId) ?? fullLeasedBucket(limit, nowUs);
      buckets.set(bucketId, bucket);
      const reply = leaseStep(bucket, limit, settlements, ask, nowUs);
      time.at(time.nowMs() + options.delayMs(), () => resolve(reply));
    });
    return promise;
  };
  return {
    step,
    beat(instanceId) {
      if (!reachable) return undefined;
      const nowMs = time.nowMs();
      for (const [id, beatMs] of beats) if (beatMs < nowMs - options.localMaxMs) beats.delete(id);
      const anew = !beats.has(instanceId);
      beats.set(instanceId, nowMs);
      return {
        anew,
        members: beats.size,
        oldestMs: oldestOther(beats, instanceId, nowMs),
        epochAgeMs: nowMs - epochMs,
      };
    },
    setReachable(next) {
      reachable = next;
    },
    lose() {
      buckets = new Map();
      beats = new Map();
      epochMs = time.nowMs();
    },
    commands: () => commands,
    outstanding: (bucketId) =>
      [...(buckets.get(bucketId)?.leases.values() ?? [])].reduce((sum, { tokens }) => sum + tokens, 0),
  };
}

/** Milliseconds since the oldest beat of another member; -1 without one. */
function oldestOther(beats: ReadonlyMap<string, number>, instanceId: string, nowMs: number): number {
  let oldestMs = -1;
  for (const [id, beatMs] of beats) if (id !== instanceId) oldestMs = Math.max(oldestMs, nowMs - beatMs);
  return oldestMs;
}
