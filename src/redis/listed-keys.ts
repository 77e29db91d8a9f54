import type { ListedKeys } from "../core/keys/ports.ts";
import type { RedisClient } from "./client.ts";
import { pairs, texts } from "./replies.ts";

/** A key id with the sequence number of its creation, which is the cursor behind it. */
type Member = readonly [keyId: string, sequence: string];

/** At most `limit` keys after the cursor, of one owner or of all. */
export async function indexMembers(
  { command, keys }: RedisClient,
  of: Exclude<ListedKeys, { family: string }> | undefined,
  cursor: string | undefined,
  limit: number,
): Promise<readonly Member[]> {
  const index = of === undefined ? keys.byAge : keys.byOwner(of.owner);
  const after = `(${cursor ?? 0}`;
  return pairs(await command("ZRANGEBYSCORE", index, after, "+inf", "WITHSCORES", "LIMIT", 0, limit));
}

/** At most `limit` keys of a family after the cursor. The index of families has sequence numbers, which are shorter than ids. */
export async function familyMembers(
  { command, commands, keys }: RedisClient,
  family: string,
  cursor: string | undefined,
  limit: number,
): Promise<readonly Member[]> {
  const after = cursor === undefined ? `[${family}:` : `(${family}:${cursor.padStart(16, "0")}`;
  // The character after the colon.
  const end = `(${family};`;
  const members = texts(await command("ZRANGE", keys.byFamily, after, end, "BYLEX", "LIMIT", 0, limit));
  const sequences = members.map((member) => String(Number(member.slice(family.length + 1))));
  if (sequences.length === 0) return [];
  const found = await commands(
    sequences.map((sequence) => ["ZRANGEBYSCORE", keys.byAge, sequence, sequence] as const),
  );
  // A sweep has removed a key that has no id.
  return sequences.map((sequence, at) => [texts(found[at])[0] ?? "", sequence]);
}
