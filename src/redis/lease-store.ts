import { readFileSync } from "node:fs";
import type { Breaker } from "../core/limits/breaker.ts";
import type { LeaseStore } from "../core/limits/lease-exchange.ts";
import type { LeaseReply, LeaseRequest, Settlement } from "../core/limits/leased-bucket.ts";
import { LEASE_LIFE_US } from "../core/limits/leased-bucket.ts";
import type { RateLimit } from "../core/policy/policy.ts";
import type { RedisArgument, RedisScript } from "./client.ts";
import { RedisUnavailable } from "./redis-error.ts";
import type { SpreadClient } from "./spread-client.ts";

export const LEASE_SCRIPT = readFileSync(new URL("./scripts/lease.lua", import.meta.url), "utf8");

export interface LeaseStoreOptions {
  /** Prevents Checks from waiting for an unavailable Redis. */
  readonly breaker: Breaker;
  readonly monotonicMs: () => number;
}

/** Maximum number of buckets of one script, because Redis runs one script at a time for all instances. */
const MAX_STEPS = 50;

/** The number of integers that the script returns for each bucket. */
const REPLY_LENGTH = 3;

const UNEXPECTED_REPLY = "lease.lua sent an unexpected reply";

interface Step {
  readonly key: string;
  readonly args: readonly RedisArgument[];
  readonly resolve: (reply: LeaseReply) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Buckets as Redis hashes, by the clock of their server. The steps of Checks that arrived together share a script per slot,
 * whose failure counts for each of them.
 */
export function createLeaseStore(
  client: SpreadClient,
  { breaker, monotonicMs }: LeaseStoreOptions,
): LeaseStore {
  const run = client.script(LEASE_SCRIPT, "lease");
  let waiting: Step[] = [];
  const fail = ({ reject }: Step, error: unknown): void => {
    breaker.failed(monotonicMs());
    reject(error);
  };
  const send = async (steps: readonly Step[]): Promise<void> => {
    try {
      const replies = await runSteps(run, steps);
      for (const [index, step] of steps.entries()) {
        const reply = replyAt(replies, index);
        if (reply === undefined) fail(step, new Error(UNEXPECTED_REPLY));
        else {
          breaker.succeeded();
          step.resolve(reply);
        }
      }
    } catch (error) {
      for (const step of steps) fail(step, error);
    }
  };
  const sendWaiting = () => {
    const bySlot = Map.groupBy(waiting, ({ key }) => client.slotOf(key));
    waiting = [];
    for (const steps of bySlot.values())
      for (let start = 0; start < steps.length; start += MAX_STEPS)
        void send(steps.slice(start, start + MAX_STEPS));
  };
  return {
    step(bucketId, limit, settlements, request) {
      if (!breaker.admits(monotonicMs()))
        return Promise.reject(
          new RedisUnavailable("connection", "Redis does not respond", { cause: undefined }),
        );
      const { promise, resolve, reject } = Promise.withResolvers<LeaseReply>();
      if (waiting.length === 0) queueMicrotask(sendWaiting);
      waiting.push({
        key: client.keys.bucket(bucketId),
        args: argumentsOf(limit, settlements, request),
        resolve,
        reject,
      });
      return promise;
    },
  };
}

function argumentsOf(
  { capacity, refillPerSecond }: RateLimit,
  settlements: readonly Settlement[],
  request: LeaseRequest | undefined,
): readonly RedisArgument[] {
  const { leaseId = "", cost = 0, waiting = 0, ahead = 0 } = request ?? {};
  const args = [capacity, refillPerSecond, leaseId, cost, waiting, ahead, settlements.length];
  for (const { leaseId: settledId, unspentTokens, spentAgoUs } of settlements)
    args.push(settledId, unspentTokens, spentAgoUs);
  return args;
}

async function runSteps(run: RedisScript, steps: readonly Step[]): Promise<readonly number[]> {
  const args: RedisArgument[] = [LEASE_LIFE_US];
  for (const step of steps) args.push(...step.args);
  const replies = await run(
    steps.map(({ key }) => key),
    args,
  );
  if (!Array.isArray(replies) || replies.length !== REPLY_LENGTH * steps.length)
    throw new Error(UNEXPECTED_REPLY);
  return replies.map(Number);
}

/** Undefined if the reply of this bucket is malformed. */
function replyAt(replies: readonly number[], index: number): LeaseReply | undefined {
  const start = REPLY_LENGTH * index;
  const reply = replies.slice(start, start + REPLY_LENGTH);
  if (!reply.every(Number.isSafeInteger)) return undefined;
  const [grantedTokens = 0, waitUs = 0, leasesOutstanding = 0] = reply;
  return { grantedTokens, waitUs, leasesOutstanding: leasesOutstanding === 1 };
}
