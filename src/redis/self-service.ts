import type { RedisClient } from "./client.ts";
import { pairs, texts } from "./replies.ts";
import { scriptText } from "./script-text.ts";

const SOURCE = scriptText("release-self-service");

/**
 * Returns a function that checks about the next `limit` self-service keys, takes out those that no longer count, and returns
 * their number. A commit takes out single keys that end. Keys that ended with their family or by a cut-off, and keys that an
 * older version left, are found here.
 */
export function createRelease(client: RedisClient): (limit: number) => Promise<number> {
  const run = client.script(SOURCE, "release-self-service");
  const { keys } = client;
  let cursor = "0";
  return async (limit) => {
    const reply = await client.command("ZSCAN", keys.selfService, cursor, "COUNT", limit);
    const [next, members] = Array.isArray(reply) ? reply : [];
    const keyIds = pairs(members).map(([keyId]) => keyId);
    const indexes = [keys.selfService, keys.endedFamilies, keys.cutOffs];
    const takenOut =
      keyIds.length === 0 ? 0 : Number(await run([...indexes, ...keyIds.map(keys.key)], keyIds));
    cursor = texts([next])[0] ?? "0";
    return takenOut;
  };
}
