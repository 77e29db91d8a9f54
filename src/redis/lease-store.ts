import type { LeaseStore } from "../core/limits/lease-exchange.ts";
import type { LeaseRequest, Settlement } from "../core/limits/leased-bucket.ts";
import { LEASE_LIFE_US } from "../core/limits/leased-bucket.ts";
import type { RateLimit } from "../core/policy/policy.ts";
import type { RedisArgument } from "./client.ts";
import { scriptText } from "./script-text.ts";
import type { ServerBreakers } from "./server-breakers.ts";
import type { SpreadClient } from "./spread-client.ts";
import { createStepBatch } from "./step-batch.ts";

export const LEASE_SCRIPT = scriptText("lease");

const SCRIPT = { source: LEASE_SCRIPT, name: "lease", head: [LEASE_LIFE_US], replyLength: 3 };

/** Buckets as Redis hashes, by the clock of their server. */
export function createLeaseStore(client: SpreadClient, servers: ServerBreakers): LeaseStore {
  const takeStep = createStepBatch(client, SCRIPT, servers);
  return {
    async step(bucketId, limit, settlements, request) {
      const args = argumentsOf(limit, settlements, request);
      const [grantedTokens = 0, waitUs = 0, leasesOutstanding = 0] = await takeStep(
        client.keys.bucket(bucketId),
        args,
        argumentsOf(limit, [], undefined),
      );
      return { grantedTokens, waitUs, leasesOutstanding: leasesOutstanding === 1 };
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
