import { encodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { RedisClient } from "./client.ts";
import { FEED_LENGTH } from "./names.ts";
import { scriptText } from "./script-text.ts";

const PUBLISH_SCRIPT = scriptText("publish");

/** All instances drop their leases on these buckets and counters, and their remembered denials. */
export type DropLeases = (ids: readonly string[]) => Promise<void>;

/** @param forget does it on this instance */
export function createDropLeases(registry: RedisClient, forget: (id: string) => void): DropLeases {
  const publish = registry.script(PUBLISH_SCRIPT, "publish");
  return async (ids) => {
    await publish(
      [registry.keys.feedSequence, registry.keys.feed],
      [FEED_LENGTH, encodeFeedEntry({ kind: "buckets", bucketIds: ids })],
    );
    for (const id of ids) forget(id);
  };
}
