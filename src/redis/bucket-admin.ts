import { readFileSync } from "node:fs";
import type { LeasedBucket } from "../core/limits/leased-bucket.ts";
import { fullLeasedBucket, leaseStep } from "../core/limits/leased-bucket.ts";
import type { BucketAdmin, BucketDemand, BucketLevel } from "../core/limits/ports.ts";
import { MICRO } from "../core/limits/token-bucket.ts";
import { encodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { RedisClient } from "./client.ts";
import { FEED_LENGTH, redisKeys } from "./names.ts";
import { pairs, texts } from "./replies.ts";

const RESET_SCRIPT = readFileSync(new URL("./scripts/reset.lua", import.meta.url), "utf8");

/**
 * Reads and resets the shared buckets.
 * @param forget drops this instance's lease on a bucket
 */
export function createBucketAdmin(client: RedisClient, forget: (bucketId: string) => void): BucketAdmin {
  const runReset = client.script(RESET_SCRIPT, "reset");
  const level = async ({ bucketId, limit }: BucketDemand): Promise<BucketLevel> => {
    const [seconds = "0", micros = "0"] = texts(await client.command("TIME"));
    const nowUs = Number(seconds) * MICRO + Number(micros);
    const bucket =
      bucketFrom(pairs(await client.command("HGETALL", redisKeys.bucket(bucketId)))) ??
      fullLeasedBucket(limit, nowUs);
    leaseStep(bucket, limit, [], undefined, nowUs);
    const leasedTokens = [...bucket.leases.values()].reduce((sum, { tokens }) => sum + tokens, 0);
    return { limit, tokens: bucket.levelMicro / MICRO, leasedTokens };
  };
  return {
    levels: (demands) => Promise.all(demands.map(level)),
    async reset(demands) {
      const bucketIds = demands.map(({ bucketId }) => bucketId);
      if (bucketIds.length === 0) return;
      await runReset(
        [redisKeys.feedSequence, redisKeys.feed, ...bucketIds.map(redisKeys.bucket)],
        [FEED_LENGTH, encodeFeedEntry({ kind: "buckets", bucketIds })],
      );
      for (const bucketId of bucketIds) forget(bucketId);
    },
  };
}

/** Decodes a bucket that lease.lua has written. Undefined for a missing bucket, which counts as full. */
function bucketFrom(fields: readonly (readonly [string, string])[]): LeasedBucket | undefined {
  const byName = new Map(fields);
  const levelMicro = Number(byName.get("level") ?? Number.NaN);
  const stampUs = Number(byName.get("stamp") ?? Number.NaN);
  if (!Number.isSafeInteger(levelMicro) || !Number.isSafeInteger(stampUs)) return undefined;
  const leases = fields.flatMap(([name, value]) => {
    const [, tokens, deadlineUs] = /^(\d{1,9}) (\d{1,15}|[1-8]\d{15})$/.exec(value) ?? [];
    if (!name.startsWith("l:") || tokens === undefined) return [];
    return [[name.slice(2), { tokens: Number(tokens), deadlineUs: Number(deadlineUs) }] as const];
  });
  return { levelMicro, stampUs, leases: new Map(leases) };
}
