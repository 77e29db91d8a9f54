import { readFileSync } from "node:fs";
import type { RedisClient } from "./client.ts";
import { redisKeys } from "./names.ts";
import { texts } from "./replies.ts";

const SOURCE = readFileSync(new URL("./scripts/release-self-service.lua", import.meta.url), "utf8");
const INDEXES = [redisKeys.selfService, redisKeys.endedFamilies, redisKeys.cutOffs];

/**
 * Returns a function that checks about the next `limit` self-service keys, takes out those that no longer count, and returns
 * their number. A commit takes out single keys that end. Keys that ended with their family or by a cut-off, and keys that an
 * older version left, are found here.
 */
export function createRelease(client: RedisClient): (limit: number) => Promise<number> {
  const run = client.script(SOURCE, "release-self-service");
  let cursor = "0";
  return async (limit) => {
    const [next = "0", takenOut] = texts(await run(INDEXES, [cursor, limit, redisKeys.key("")]));
    cursor = next;
    return Number(takenOut);
  };
}
