import { decodeRecord } from "../core/keys/key-record-codec.ts";
import type { RedisClient } from "./client.ts";
import { indexMembers } from "./listed-keys.ts";
import { texts } from "./replies.ts";

/** Entries of each kind that one turn checks. */
const PORTION = 50;

/** Whether the index of families has every key. An earlier build enters no keys, and leaves those that it removes. */
export async function hasEveryFamily(client: RedisClient): Promise<boolean> {
  const [inFamilies, all] = await sizes(client);
  return inFamilies >= all;
}

async function sizes({ commands, keys }: RedisClient): Promise<readonly [inFamilies: number, all: number]> {
  const counted = [keys.byFamily, keys.byAge].map((index) => ["ZCARD", index] as const);
  const [inFamilies = 0, all = 0] = (await commands(counted)).map(Number);
  return [inFamilies, all];
}

/**
 * Each call repairs a further portion of the index of families, if its size shows that instances of an earlier build have
 * changed keys.
 */
export function createFamilyRepair(client: RedisClient): () => Promise<void> {
  let last: string | undefined;
  let cursor: string | undefined;
  return async () => {
    const [inFamilies, all] = await sizes(client);
    if (inFamilies === all) return;
    last = await removeStale(client, last);
    cursor = await addMissing(client, cursor);
  };
}

/** Removes members whose key no longer exists. Returns the last member of the portion; undefined at the end. */
async function removeStale(client: RedisClient, last: string | undefined): Promise<string | undefined> {
  const { command, commands, keys } = client;
  const after = last === undefined ? "-" : `(${last}`;
  const members = texts(await command("ZRANGE", keys.byFamily, after, "+", "BYLEX", "LIMIT", 0, PORTION));
  if (members.length === 0) return undefined;
  const places = members.map((member) => Number(member.slice(member.lastIndexOf(":") + 1)));
  const found = await commands(places.map((place) => ["ZCOUNT", keys.byAge, place, place] as const));
  // No two keys get the same number, so a number without a key never gets one.
  const stale = members.filter((_, at) => Number(found[at]) === 0);
  if (stale.length > 0) await command("ZREM", keys.byFamily, ...stale);
  return members.at(-1);
}

/** Enters keys that are missing. Returns the cursor behind the portion; undefined at the end. */
async function addMissing(client: RedisClient, cursor: string | undefined): Promise<string | undefined> {
  const { command, commands, keys } = client;
  const members = await indexMembers(client, undefined, cursor, PORTION);
  if (members.length === 0) return undefined;
  const stored = await commands(members.map(([keyId]) => ["GET", keys.key(keyId)] as const));
  const entries = members.flatMap(([keyId, place], at) => {
    const family = familyOf(keyId, stored[at]);
    return family === undefined ? [] : [0, `${family}:${place.padStart(16, "0")}`];
  });
  // A key that a sweep has removed meanwhile leaves a stale member, which a later call removes.
  if (entries.length > 0) await command("ZADD", keys.byFamily, ...entries);
  return members.at(-1)?.[1];
}

/** Undefined for a record that is lost or damaged. */
function familyOf(keyId: string, text: unknown): string | undefined {
  try {
    return typeof text === "string" ? decodeRecord(keyId, text).family : undefined;
  } catch {
    return undefined;
  }
}
