import { readFileSync } from "node:fs";
import { encodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { Ending } from "../core/revocation/revocation.ts";
import type { RedisClient } from "./client.ts";
import type { RegistryKeys } from "./names.ts";
import { FEED_LENGTH } from "./names.ts";

const SOURCE = readFileSync(new URL("./scripts/write-back.lua", import.meta.url), "utf8");
const indexesOf = (keys: RegistryKeys) => [
  keys.standings,
  keys.ended,
  keys.endedFamilies,
  keys.cutOffs,
  keys.feed,
  keys.feedSequence,
  keys.counts,
  keys.newest,
  keys.newestUncut,
];
/** Few enough not to delay other commands. */
const PORTION = 100;

/** Writes entries that the store has lost back to it, and publishes them. Rejects if the store does not take them. */
export function createWriteBack(client: RedisClient): (entries: readonly Ending[]) => Promise<void> {
  const run = client.script(SOURCE, "write-back");
  return async (entries) => {
    // Runs at least once: the script also ensures that a later cut-off includes keys that the store has lost.
    let start = 0;
    do {
      const portion = entries.slice(start, start + PORTION);
      const records = portion.map((entry) =>
        entry.kind === "key" ? client.keys.key(entry.keyId) : client.keys.nothing,
      );
      await run([...indexesOf(client.keys), ...records], [FEED_LENGTH, ...portion.map(encodeFeedEntry)]);
      start += PORTION;
    } while (start < entries.length);
  };
}
