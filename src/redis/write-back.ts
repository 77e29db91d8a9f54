import { readFileSync } from "node:fs";
import { encodeFeedEntry } from "../core/feed-entry.ts";
import type { Revocation, RevocationView } from "../core/revocation-view.ts";
import type { RedisClient } from "./client.ts";
import { FEED_LENGTH } from "./key-commit.ts";
import { names } from "./names.ts";

const SOURCE = readFileSync(new URL("./write-back.lua", import.meta.url), "utf8");
const INDEXES = [
  names.standings,
  names.ended,
  names.endedFamilies,
  names.cutOffs,
  names.feed,
  names.feedSequence,
];
/** So few that no other command waits for long. */
const PORTION = 100;

/** Gives the store everything that this instance knows and it does not; drops here what it knows something newer of. */
export function createWriteBack(
  client: RedisClient,
): (view: Pick<RevocationView, "entries" | "drop">) => Promise<void> {
  const run = client.script(SOURCE);
  return async (view) => {
    const all = [...view.entries()];
    for (let begin = 0; begin < all.length; begin += PORTION) {
      const portion = all.slice(begin, begin + PORTION);
      const records = portion.map((entry) => (entry.kind === "key" ? names.key(entry.keyId) : names.nothing));
      const args = portion.flatMap((entry) => [encodeFeedEntry(entry), JSON.stringify(partsOf(entry))]);
      const newer = await run([...INDEXES, ...records], [FEED_LENGTH, ...args]);
      for (const place of Array.isArray(newer) ? newer : []) {
        const entry = portion[Number(place) - 1];
        if (entry?.kind === "key") view.drop(entry.keyId, entry.version);
      }
    }
  };
}

function partsOf(entry: Revocation): object {
  switch (entry.kind) {
    case "key":
      return { k: entry.keyId, v: entry.version, x: entry.expiresAt };
    case "family":
      return { f: entry.family, u: entry.until };
    case "cutoff":
      return { c: `${entry.scope}:${entry.subject}`, b: entry.before, u: entry.until };
  }
}
