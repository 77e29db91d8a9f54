import type { RedisArgument, RedisClient } from "./client.ts";
import { RedisUnavailable } from "./redis-error.ts";
import { texts } from "./replies.ts";

/** Few enough not to delay Checks. */
const SCAN_COUNT = 500;

/**
 * The replies of a scan, without their cursors. Every member that exists during the whole scan is in at least one of them. Rejects
 * if the connection is replaced meanwhile: a cursor of one server would make another one skip members.
 */
export async function* scanPages(
  client: RedisClient,
  command: "SCAN" | "HSCAN" | "ZSCAN",
  { name, match }: { readonly name?: string; readonly match?: string },
): AsyncIterable<unknown> {
  const key: readonly RedisArgument[] = name === undefined ? [] : [name];
  const options = [...(match === undefined ? [] : ["MATCH", match]), "COUNT", SCAN_COUNT];
  const connection = client.connections();
  let cursor = "0";
  do {
    const reply = await client.command(command, ...key, cursor, ...options);
    if (client.connections() !== connection)
      throw new RedisUnavailable("connection", "the connection was replaced during a scan", {
        cause: undefined,
      });
    const [next, members] = Array.isArray(reply) ? reply : [];
    cursor = texts([next])[0] ?? "0";
    yield members;
  } while (cursor !== "0");
}
