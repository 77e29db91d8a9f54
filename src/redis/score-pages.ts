import { PAGE } from "../core/copy/ports.ts";
import type { RedisClient } from "./client.ts";
import { pairs } from "./replies.ts";

/**
 * Yields the members of a sorted set by score, with their scores. Many members can have one score, so a page continues with the
 * members of the last score that are not known yet. A member that is added during the iteration, or whose score grows, may be
 * yielded twice. A member that is removed may hide one of the same score, so only members without effect may be removed.
 */
export async function* scorePages(
  client: RedisClient,
  name: string,
): AsyncIterable<readonly [member: string, score: number][]> {
  let from = "-inf";
  let known = 0;
  for (;;) {
    const range = ["ZRANGEBYSCORE", name, from, "+inf", "WITHSCORES", "LIMIT", known, PAGE] as const;
    const page = pairs(await client.command(...range));
    const last = page.at(-1);
    if (last === undefined) return;
    const ofLast = page.filter(([, score]) => score === last[1]).length;
    known = last[1] === from ? known + ofLast : ofLast;
    from = last[1];
    yield page.map(([member, score]) => [member, Number(score)]);
    if (page.length < PAGE) return;
  }
}
