import { readFileSync } from "node:fs";
import type { LeasedBucket } from "../core/limits/leased-bucket.ts";
import { fullLeasedBucket, leaseStep } from "../core/limits/leased-bucket.ts";
import type { BucketAdmin, BucketDemand, BucketLevel } from "../core/limits/ports.ts";
import { MICRO } from "../core/limits/token-bucket.ts";
import { encodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { RedisClient } from "./client.ts";
import { FEED_LENGTH } from "./names.ts";
import { pairs, texts } from "./replies.ts";
import type { SpreadClient } from "./spread-client.ts";

const PUBLISH_SCRIPT = readFileSync(new URL("./scripts/publish.lua", import.meta.url), "utf8");

export interface BucketAdminDeps {
  readonly registry: RedisClient;
  readonly spread: SpreadClient;
  /** Drops this instance's lease on a bucket. */
  readonly forget: (bucketId: string) => void;
}

/** Reads and resets the shared buckets. */
export function createBucketAdmin({ registry, spread, forget }: BucketAdminDeps): BucketAdmin {
  const publish = registry.script(PUBLISH_SCRIPT, "publish");
  const at = (bucketId: string, name: string, ...args: readonly string[]) =>
    spread.commandAt(spread.keys.bucket(bucketId), name, ...args);
  const level = async ({ bucketId, limit }: BucketDemand): Promise<BucketLevel> => {
    const [seconds = "0", micros = "0"] = texts(await at(bucketId, "TIME"));
    const nowUs = Number(seconds) * MICRO + Number(micros);
    const bucket =
      bucketFrom(pairs(await at(bucketId, "HGETALL", spread.keys.bucket(bucketId)))) ??
      fullLeasedBucket(limit, nowUs);
    leaseStep(bucket, limit, [], undefined, nowUs);
    const leasedTokens = [...bucket.leases.values()].reduce((sum, { tokens }) => sum + tokens, 0);
    return { limit, tokens: bucket.levelMicro / MICRO, leasedTokens };
  };
  const onEach = (bucketIds: readonly string[], name: "EXISTS" | "DEL") =>
    Promise.all(bucketIds.map((bucketId) => at(bucketId, name, spread.keys.bucket(bucketId))));
  /** All instances drop their leases on the buckets, and their remembered denials. */
  const drop = async (bucketIds: readonly string[]) => {
    await publish(
      [registry.keys.feedSequence, registry.keys.feed],
      [FEED_LENGTH, encodeFeedEntry({ kind: "buckets", bucketIds })],
    );
    for (const bucketId of bucketIds) forget(bucketId);
  };
  return {
    levels: (demands) => Promise.all(demands.map(level)),
    async reset(demands) {
      const bucketIds = demands.map(({ bucketId }) => bucketId);
      // A missing bucket is full and has no leases.
      const existing = await onEach(bucketIds, "EXISTS");
      if (!existing.includes(1)) return bucketIds.forEach(forget);
      // Before, so that a failure in between fills no bucket whose leases go on. After, because an instance may have
      // remembered a denial in between.
      await drop(bucketIds);
      await onEach(bucketIds, "DEL");
      await drop(bucketIds);
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
