import type { MigrationState } from "../core/legacy/migration.ts";
import { decodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { RedisClient } from "./client.ts";
import type { RegistryKeys } from "./names.ts";
import { texts } from "./replies.ts";
import { scriptText } from "./script-text.ts";

const SOURCE = scriptText("compare");
const namesOf = (keys: RegistryKeys) => [
  keys.standings,
  keys.endedFamilies,
  keys.cutOffs,
  keys.counts,
  keys.epoch,
  keys.newest,
  keys.newestUncut,
  keys.migration,
  keys.sequence,
  keys.overrides,
];

/** The state of the store. */
export interface StoreState {
  /** Its clock in milliseconds. */
  readonly nowMs: number;
  /** Identifies the last time that entries were found missing. Empty: never. */
  readonly missed: string;
  /** The stored phase of V1 keys. */
  readonly phase?: MigrationState;
}

/** Checks whether Redis still has everything that ends keys. Redis can evict single keys without a sign in the feed. */
export function createStoreComparison(client: RedisClient): () => Promise<StoreState> {
  const run = client.script(SOURCE, "compare");
  return async () => {
    const [nowMs, missed = "", phase = ""] = texts(await run(namesOf(client.keys), []));
    const entry = decodeFeedEntry(phase);
    return { nowMs: Number(nowMs), missed, ...(entry?.kind === "phase" && { phase: entry.state }) };
  };
}
