import type { OverrideReader } from "../core/keys/ports.ts";
import { decodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { RedisClient } from "./client.ts";
import { overrideField } from "./names.ts";

/** Reads the overrides that commit.lua has written. */
export function createOverrideReader(client: RedisClient): OverrideReader {
  return {
    async findOverride(of) {
      const stored = await client.command("HGET", client.keys.overrides, overrideField(of));
      if (stored === null) return undefined;
      const entry = decodeFeedEntry(String(stored));
      if (entry?.kind !== "override") throw new Error("an override is damaged");
      return entry;
    },
  };
}
