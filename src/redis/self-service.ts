import { readFileSync } from "node:fs";
import type { RedisClient } from "./client.ts";
import { redisKeys } from "./names.ts";
import { texts } from "./replies.ts";

const SOURCE = readFileSync(new URL("./scripts/release-self-service.lua", import.meta.url), "utf8");
const INDEXES = [redisKeys.selfService, redisKeys.endedFamilies, redisKeys.cutOffs];

/**
 * Makes what looks through the index of self-service keys, from where it stopped, for about `limit` of them: how many it took
 * out. A commit takes out single keys that end; an ended family, a cut-off and what an older version has left are found here.
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
