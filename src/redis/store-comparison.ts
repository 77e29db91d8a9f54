import { readFileSync } from "node:fs";
import type { MigrationState } from "../core/legacy/migration.ts";
import { decodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { RedisClient } from "./client.ts";
import { redisKeys } from "./names.ts";
import { texts } from "./replies.ts";

const SOURCE = readFileSync(new URL("./scripts/compare.lua", import.meta.url), "utf8");
const NAMES = [
  redisKeys.standings,
  redisKeys.endedFamilies,
  redisKeys.cutOffs,
  redisKeys.counts,
  redisKeys.epoch,
  redisKeys.newest,
  redisKeys.newestUncut,
  redisKeys.migration,
  redisKeys.sequence,
];

/** What the store says of itself. */
export interface StoreState {
  /** Its clock, milliseconds. */
  readonly nowMs: number;
  /** Names the latest time that less was there than should be; empty: never. */
  readonly missed: string;
  /** The phase of V1 keys that it has. */
  readonly phase?: MigrationState;
}

/** Looks whether all is there that ends keys, whatever the feed says: Redis may evict single names. */
export function createStoreComparison(client: RedisClient): () => Promise<StoreState> {
  const run = client.script(SOURCE, "compare");
  return async () => {
    const [nowMs, missed = "", phase = ""] = texts(await run(NAMES, []));
    const entry = decodeFeedEntry(phase);
    return { nowMs: Number(nowMs), missed, ...(entry?.kind === "phase" && { phase: entry.state }) };
  };
}
