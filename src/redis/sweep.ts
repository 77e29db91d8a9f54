import { readFileSync } from "node:fs";
import type { Housekeeping } from "../core/keys/ports.ts";
import type { RedisClient } from "./client.ts";
import { redisKeys } from "./names.ts";
import { pairs, texts } from "./replies.ts";

const SOURCE = readFileSync(new URL("./scripts/sweep.lua", import.meta.url), "utf8");
const INDEXES = [
  redisKeys.byAge,
  redisKeys.byEnd,
  redisKeys.ended,
  redisKeys.endedFamilies,
  redisKeys.cutOffs,
  redisKeys.selfService,
  redisKeys.lastUsed,
  redisKeys.standings,
  redisKeys.counts,
  redisKeys.forgotten,
  redisKeys.overrides,
  redisKeys.overridesByEnd,
];
/** Redis runs one script at a time for all instances. A batch of this size takes a millisecond or two. */
const BATCH = 50;

/** @param release checks up to `limit` self-service keys and takes out those that no longer count */
export function createSweep(
  client: RedisClient,
  recordRetentionSeconds: number,
  release: (limit: number) => Promise<unknown>,
): Housekeeping["sweep"] {
  const run = client.script(SOURCE, "sweep");
  const prefixes = [
    redisKeys.key(""),
    redisKeys.byOwner(""),
    redisKeys.legacyHash(""),
    redisKeys.legacyUse(""),
    redisKeys.legacyUnmigrated(""),
  ];
  const nextCutOffs = createCutOffCursor(client);
  return async (beforeSeconds, limit) => {
    let swept = 0;
    let cutOffs = await nextCutOffs();
    for (;;) {
      const batch = Math.min(BATCH, limit - swept);
      const bounds = [beforeSeconds, recordRetentionSeconds, batch];
      const reply = await run(INDEXES, [...bounds, ...prefixes, ...cutOffs]);
      const [keys = 0, others = 0] = (Array.isArray(reply) ? reply : []).map(Number);
      swept += keys;
      if (swept >= limit || Math.max(keys, others) < batch) break;
      cutOffs = [];
    }
    await release(limit);
    return swept;
  };
}

/** Reads the fields of the cut-offs portion by portion, because there may be one of each owner that never expires. */
function createCutOffCursor(client: RedisClient): () => Promise<readonly string[]> {
  let cursor = "0";
  return async () => {
    const reply = await client.command("HSCAN", redisKeys.cutOffs, cursor, "COUNT", BATCH);
    const [next, members] = Array.isArray(reply) ? reply : [];
    cursor = texts([next])[0] ?? "0";
    return pairs(members).map(([field]) => field);
  };
}
