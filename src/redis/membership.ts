import type { Membership } from "../core/limits/local-share.ts";
import type { RedisClient } from "./client.ts";
import { scriptText } from "./script-text.ts";

const HEARTBEAT_SCRIPT = scriptText("heartbeat");

/** What heartbeat.lua returns instead of the age of the oldest heartbeat. */
const ALONE = -1;
const UNKNOWN = -2;

export interface MembershipOptions {
  /** Unique across instances and restarts. */
  readonly instanceId: string;
  readonly monotonicMs: () => number;
  /** A member without a heartbeat for this time is removed. No share is used in a store younger than this. */
  readonly localMaxMs: () => number;
  readonly newRandom: () => string;
}

/** This instance's place in the fleet. */
export interface FleetMembership {
  current(): Membership | undefined;
  /** Sends one heartbeat. Must be called each second. Rejects if Redis is unavailable. */
  heartbeat(): Promise<void>;
  /** Called at an orderly shutdown, so that the instance no longer counts. */
  leave(): Promise<void>;
}

export function createMembership(client: RedisClient, options: MembershipOptions): FleetMembership {
  const run = client.script(HEARTBEAT_SCRIPT, "heartbeat");
  let membership: Membership | undefined;
  let joinedMs = 0;
  /** Until then another instance may use a share although the store has forgotten it. */
  let doubtedUntilMs = Number.NEGATIVE_INFINITY;
  return {
    current: () => membership,
    async heartbeat() {
      const sentMs = options.monotonicMs();
      const localMaxMs = options.localMaxMs();
      const names = [client.keys.members, client.keys.epoch];
      const reply = numbers(await run(names, [options.instanceId, localMaxMs, options.newRandom()]));
      const [joined = 1, members = 1, oldestMs = ALONE, epochAgeMs = 0] = reply;
      // The script ran at some time between sending and now, so each comparison uses the less favourable of the two.
      if (joined === 1) {
        joinedMs = options.monotonicMs();
        // A clock that stepped ahead, or an eviction, removes all members.
        if (membership !== undefined && sentMs - membership.contactMs <= localMaxMs)
          doubtedUntilMs = joinedMs + localMaxMs;
      }
      // A member whose last heartbeat is older than `localMaxMs` uses its share no longer.
      const countedMs = oldestMs === UNKNOWN ? localMaxMs : oldestMs;
      const countedByAll = oldestMs === ALONE || sentMs - countedMs >= joinedMs;
      const isTrusted = epochAgeMs > localMaxMs && sentMs >= doubtedUntilMs;
      membership = { members, contactMs: sentMs, counted: countedByAll && isTrusted };
    },
    async leave() {
      // From now on others do not count this instance, also if the reply is lost.
      membership = undefined;
      await client.command("ZREM", client.keys.members, options.instanceId);
    },
  };
}

function numbers(reply: unknown): number[] {
  if (!Array.isArray(reply) || !reply.every(Number.isSafeInteger))
    throw new Error("heartbeat.lua sent an unexpected reply");
  return reply.map(Number);
}
