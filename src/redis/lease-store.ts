import { readFileSync } from "node:fs";
import type { Breaker } from "../core/limits/breaker.ts";
import type { LeaseStore } from "../core/limits/lease-exchange.ts";
import { LEASE_LIFE_US } from "../core/limits/leased-bucket.ts";
import type { RedisClient } from "./client.ts";
import { redisKeys } from "./names.ts";
import { RedisUnavailable } from "./redis-error.ts";

export const LEASE_SCRIPT = readFileSync(new URL("./scripts/lease.lua", import.meta.url), "utf8");

export interface LeaseStoreOptions {
  /** Keeps Checks from waiting for a Redis that does not answer. */
  readonly breaker: Breaker;
  readonly monotonicMs: () => number;
}

/** Buckets as hashes in Redis, on its clock: one script a step. */
export function createLeaseStore(
  client: RedisClient,
  { breaker, monotonicMs }: LeaseStoreOptions,
): LeaseStore {
  const run = client.script(LEASE_SCRIPT, "lease");
  return {
    async step(bucketId, limit, settlements, ask) {
      if (!breaker.admits(monotonicMs()))
        throw new RedisUnavailable("connection", "Redis does not answer", { cause: undefined });
      try {
        const reply = await run(
          [redisKeys.bucket(bucketId)],
          [
            limit.capacity,
            limit.refillPerSecond,
            LEASE_LIFE_US,
            ask?.leaseId ?? "",
            ask?.cost ?? 0,
            ask?.waiting ?? 0,
            ask?.ahead ?? 0,
            ...settlements.flatMap(({ leaseId, unspentTokens, spentAgoUs }) => [
              leaseId,
              unspentTokens,
              spentAgoUs,
            ]),
          ],
        );
        breaker.succeeded();
        return toReply(reply);
      } catch (error) {
        breaker.failed(monotonicMs());
        throw error;
      }
    },
  };
}

function toReply(reply: unknown) {
  if (!Array.isArray(reply) || !reply.every(Number.isSafeInteger))
    throw new Error("lease.lua answered something else");
  const [grantedTokens = 0, waitUs = 0, leasesOutstanding = 0] = reply.map(Number);
  return { grantedTokens, waitUs, leasesOutstanding: leasesOutstanding === 1 };
}
