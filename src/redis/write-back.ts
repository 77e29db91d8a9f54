import { readFileSync } from "node:fs";
import { encodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { Ending } from "../core/revocation/revocation.ts";
import type { RedisClient } from "./client.ts";
import { FEED_LENGTH } from "./key-commit.ts";
import { redisKeys } from "./names.ts";

const SOURCE = readFileSync(new URL("./scripts/write-back.lua", import.meta.url), "utf8");
const INDEXES = [
  redisKeys.standings,
  redisKeys.ended,
  redisKeys.endedFamilies,
  redisKeys.cutOffs,
  redisKeys.feed,
  redisKeys.feedSequence,
  redisKeys.counts,
  redisKeys.newest,
  redisKeys.newestUncut,
];
/** So few that no other command waits for long. */
const PORTION = 100;

/** Gives the store what this instance knows and it does not; all instances hear of it. Rejects when it is not taken. */
export function createWriteBack(client: RedisClient): (entries: readonly Ending[]) => Promise<void> {
  const run = client.script(SOURCE, "write-back");
  return async (entries) => {
    // Once at least: the script also sees to it that a cut-off ends keys that the store has lost.
    let begin = 0;
    do {
      const portion = entries.slice(begin, begin + PORTION);
      const records = portion.map((entry) =>
        entry.kind === "key" ? redisKeys.key(entry.keyId) : redisKeys.nothing,
      );
      await run([...INDEXES, ...records], [FEED_LENGTH, ...portion.map(encodeFeedEntry)]);
      begin += PORTION;
    } while (begin < entries.length);
  };
}
