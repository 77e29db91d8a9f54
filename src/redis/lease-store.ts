import { readFileSync } from "node:fs";
import type { Breaker, Outage } from "../core/limits/breaker.ts";
import type { LeaseStore } from "../core/limits/lease-exchange.ts";
import type { LeaseReply, LeaseRequest, Settlement } from "../core/limits/leased-bucket.ts";
import { LEASE_LIFE_US } from "../core/limits/leased-bucket.ts";
import type { RateLimit } from "../core/policy/policy.ts";
import type { RedisArgument, RedisScript } from "./client.ts";
import { RedisUnavailable } from "./redis-error.ts";
import type { SpreadClient } from "./spread-client.ts";

export const LEASE_SCRIPT = readFileSync(new URL("./scripts/lease.lua", import.meta.url), "utf8");

export interface LeaseStoreOptions {
  /** Makes the breaker of one server, which prevents Checks from waiting for it while it is unavailable. */
  readonly newBreaker: () => Breaker;
  readonly monotonicMs: () => number;
}

export interface SharedLeaseStore extends LeaseStore {
  /** The outage of the server that holds this bucket. Undefined while it responds. */
  outageOf(bucketId: string): Outage | undefined;
  /**
   * Tries the servers that fail, by a step that takes nothing. Without requests nothing else would end an outage, and the
   * local shares would keep growing. Call it about every second.
   */
  probe(): Promise<void>;
}

/** Maximum number of buckets of one script, because Redis runs one script at a time for all instances. */
const MAX_STEPS = 50;

/** The number of integers that the script returns for each bucket. */
const REPLY_LENGTH = 3;

const UNEXPECTED_REPLY = "lease.lua sent an unexpected reply";

interface Step {
  readonly key: string;
  readonly limit: RateLimit;
  readonly args: readonly RedisArgument[];
  readonly resolve: (reply: LeaseReply) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Buckets as Redis hashes, by the clock of their server. The steps of Checks that arrived together share a script per slot,
 * whose failure counts for each of them.
 */
export function createLeaseStore(client: SpreadClient, options: LeaseStoreOptions): SharedLeaseStore {
  const run = client.script(LEASE_SCRIPT, "lease");
  const servers = createServerBreakers(client, options);
  let waiting: Step[] = [];
  const send = async (steps: readonly Step[]): Promise<void> => {
    try {
      const replies = await runSteps(run, steps);
      for (const [index, step] of steps.entries()) {
        const reply = replyAt(replies, index);
        if (reply === undefined) servers.failed(step, new Error(UNEXPECTED_REPLY));
        else servers.succeeded(step, reply);
      }
    } catch (error) {
      // The slot is moving, and has moved in part. The script has not run. One of a single bucket will.
      if (steps.length > 1 && error instanceof RedisUnavailable && error.code === "TRYAGAIN")
        for (const step of steps) void send([step]);
      else for (const step of steps) servers.failed(step, error);
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
      const key = client.keys.bucket(bucketId);
      if (!servers.admit(key))
        return Promise.reject(
          new RedisUnavailable("connection", "Redis does not respond", { cause: undefined }),
        );
      const { promise, resolve, reject } = Promise.withResolvers<LeaseReply>();
      if (waiting.length === 0) queueMicrotask(sendWaiting);
      waiting.push({ key, limit, args: argumentsOf(limit, settlements, request), resolve, reject });
      return promise;
    },
    outageOf: (bucketId) => servers.outageOf(client.keys.bucket(bucketId)),
    async probe() {
      const probes = servers.failing().map(({ key, limit }) => {
        const { promise, resolve, reject } = Promise.withResolvers<LeaseReply>();
        void send([{ key, limit, args: argumentsOf(limit, [], undefined), resolve, reject }]);
        return promise;
      });
      await Promise.allSettled(probes);
    },
  };
}

/** The breakers of the servers that hold buckets, and a bucket of each server that fails. */
function createServerBreakers(client: SpreadClient, { newBreaker, monotonicMs }: LeaseStoreOptions) {
  const servers = new Map<string, { readonly breaker: Breaker; failed?: Step }>();
  const serverOf = (key: string) => {
    const name = client.serverOf(key);
    const server = servers.get(name) ?? { breaker: newBreaker() };
    servers.set(name, server);
    return server;
  };
  return {
    admit: (key: string) => serverOf(key).breaker.admits(monotonicMs()),
    outageOf: (key: string) => serverOf(key).breaker.outage(),
    succeeded({ key, resolve }: Step, reply: LeaseReply) {
      serverOf(key).breaker.succeeded();
      resolve(reply);
    },
    failed(step: Step, error: unknown) {
      const server = serverOf(step.key);
      server.breaker.failed(monotonicMs());
      server.failed = step;
      step.reject(error);
    },
    failing(): readonly Step[] {
      const found: Step[] = [];
      for (const [name, { breaker, failed }] of servers) {
        if (breaker.outage() === undefined || failed === undefined) continue;
        // Another server holds the bucket by now, so this one is asked for nothing any more.
        if (client.serverOf(failed.key) === name) found.push(failed);
        else servers.delete(name);
      }
      return found;
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
