import { readFileSync } from "node:fs";
import type { Breaker } from "../core/limits/breaker.ts";
import type { LeaseStore } from "../core/limits/lease-exchange.ts";
import { LEASE_LIFE_US } from "../core/limits/leased-bucket.ts";
import type { RedisClient } from "./client.ts";
import { redisKeys } from "./names.ts";
import { RedisUnavailable } from "./redis-error.ts";

export const LEASE_SCRIPT = readFileSync(new URL("./scripts/lease.lua", import.meta.url), "utf8");

export interface LeaseStoreOptions {
  /** Prevents Checks from waiting for an unavailable Redis. */
  readonly breaker: Breaker;
  readonly monotonicMs: () => number;
}

/** Buckets as Redis hashes, by Redis's clock. Each step is one script. */
export function createLeaseStore(
  client: RedisClient,
  { breaker, monotonicMs }: LeaseStoreOptions,
): LeaseStore {
  const run = client.script(LEASE_SCRIPT, "lease");
  return {
    async step(bucketId, limit, settlements, request) {
      if (!breaker.admits(monotonicMs()))
        throw new RedisUnavailable("connection", "Redis does not respond", { cause: undefined });
      try {
        const reply = await run(
          [redisKeys.bucket(bucketId)],
          [
            limit.capacity,
            limit.refillPerSecond,
            LEASE_LIFE_US,
            request?.leaseId ?? "",
            request?.cost ?? 0,
            request?.waiting ?? 0,
            request?.ahead ?? 0,
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
    throw new Error("lease.lua sent an unexpected reply");
  const [grantedTokens = 0, waitUs = 0, leasesOutstanding = 0] = reply.map(Number);
  return { grantedTokens, waitUs, leasesOutstanding: leasesOutstanding === 1 };
}
