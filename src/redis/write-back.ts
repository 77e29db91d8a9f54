import { KEEP_CLEARED_SECONDS } from "../core/overrides/override.ts";
import { encodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { StoredEntry } from "../core/revocation/instance-view.ts";
import type { RedisClient } from "./client.ts";
import type { RegistryKeys } from "./names.ts";
import { FEED_LENGTH } from "./names.ts";
import { scriptText } from "./script-text.ts";

const SOURCE = scriptText("write-back");
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
  keys.overrides,
  keys.overridesByEnd,
];
/** Few enough not to delay other commands. */
const PORTION = 100;

/** Writes entries that the store has lost back to it, and publishes them. Rejects if the store does not take them. */
export function createWriteBack(client: RedisClient): (entries: readonly StoredEntry[]) => Promise<void> {
  const run = client.script(SOURCE, "write-back");
  return async (entries) => {
    // Runs at least once: the script also ensures that a later cut-off includes keys that the store has lost.
    let start = 0;
    do {
      const portion = entries.slice(start, start + PORTION);
      const records = portion.map((entry) =>
        entry.kind === "key" ? client.keys.key(entry.keyId) : client.keys.nothing,
      );
      const texts = portion.map(encodeFeedEntry);
      await run([...indexesOf(client.keys), ...records], [FEED_LENGTH, KEEP_CLEARED_SECONDS, ...texts]);
      start += PORTION;
    } while (start < entries.length);
  };
}
