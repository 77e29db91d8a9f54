import type { LeaseStore } from "../core/limits/lease-exchange.ts";
import type { LeaseReply, LeaseRequest, Settlement } from "../core/limits/leased-bucket.ts";
import { LEASE_LIFE_US } from "../core/limits/leased-bucket.ts";
import type { RateLimit } from "../core/policy/policy.ts";
import type { RedisArgument } from "./client.ts";
import { scriptText } from "./script-text.ts";
import type { ServerBreakers } from "./server-breakers.ts";
import type { SpreadClient } from "./spread-client.ts";
import { createStepBatch } from "./step-batch.ts";

export const LEASE_SCRIPT = scriptText("lease");

const SCRIPT = { source: LEASE_SCRIPT, name: "lease", head: [LEASE_LIFE_US], replyLength: 3, replyOf };

/** Buckets as Redis hashes, by the clock of their server. */
export function createLeaseStore(client: SpreadClient, servers: ServerBreakers): LeaseStore {
  const takeStep = createStepBatch(client, SCRIPT, servers);
  return {
    step: (bucketId, limit, settlements, request) =>
      takeStep(client.keys.bucket(bucketId), leaseArguments(limit, settlements, request), () =>
        leaseArguments(limit, [], undefined),
      ),
  };
}

/** The arguments of one step, as lease.lua describes them. */
export function leaseArguments(
  { capacity, refillPerSecond }: Pick<RateLimit, "capacity" | "refillPerSecond">,
  settlements: readonly Settlement[],
  request: LeaseRequest | undefined,
): readonly RedisArgument[] {
  const amounts = `${capacity} ${refillPerSecond} ${request?.cost ?? 0} ${request?.waiting ?? 0} ${request?.ahead ?? 0} ${settlements.length}`;
  const args: RedisArgument[] = [amounts, request?.leaseId ?? ""];
  for (const { leaseId, unspentTokens, spentAgoUs } of settlements)
    args.push(leaseId, unspentTokens, spentAgoUs);
  return args;
}

function replyOf(numbers: readonly number[], at: number): LeaseReply {
  const [grantedTokens = 0, waitUs = 0, flag] = [numbers[at], numbers[at + 1], numbers[at + 2]];
  const isGranted = grantedTokens > 0;
  return {
    grantedTokens,
    waitUs,
    leasesOutstanding: !isGranted && flag === 1,
    isHalfFull: isGranted && flag === 1,
  };
}
