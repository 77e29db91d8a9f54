import type { KeyRecord } from "../core/keys/key-record.ts";
import { decodeRecord } from "../core/keys/key-record-codec.ts";
import type { Housekeeping } from "../core/keys/ports.ts";
import type { RedisClient } from "./client.ts";
import { namesOf } from "./commit-wire.ts";
import { createFamilyRepair } from "./family-index.ts";
import type { RegistryKeys } from "./names.ts";
import { pairs, texts } from "./replies.ts";
import { scriptText } from "./script-text.ts";

const SOURCE = scriptText("sweep");
const indexesOf = (keys: RegistryKeys) => [
  keys.byAge,
  keys.byEnd,
  keys.ended,
  keys.endedFamilies,
  keys.cutOffs,
  keys.selfService,
  keys.lastUsed,
  keys.standings,
  keys.counts,
  keys.forgotten,
  keys.overrides,
  keys.overridesByEnd,
  keys.byFamily,
];
/** Redis runs one script at a time for all instances. A batch of this size takes a millisecond or two. */
const BATCH = 50;
/** Last uses that one sweep checks. */
const USES = 100;

/** @param release checks up to `limit` self-service keys and takes out those that no longer count */
export function createSweep(
  client: RedisClient,
  recordRetentionSeconds: number,
  release: (limit: number) => Promise<unknown>,
): Housekeeping["sweep"] {
  const run = client.script(SOURCE, "sweep");
  const { keys } = client;
  const nextCutOffs = createCutOffCursor(client);
  const repairFamilies = createFamilyRepair(client);
  return async (beforeSeconds, limit) => {
    let swept = 0;
    let [cutOffs, uses] = [await nextCutOffs(), await someUses(client)];
    for (;;) {
      const batch = Math.min(BATCH, limit - swept);
      const ended = await findEnded(client, beforeSeconds - recordRetentionSeconds, batch);
      const names = [...ended.flatMap((key) => key.names), ...uses.map(keys.key)];
      const found = { keys: ended.map(({ keyId, text, family }) => [keyId, text, family]), uses, cutOffs };
      const reply = await run(
        [...indexesOf(keys), ...names],
        [beforeSeconds, recordRetentionSeconds, batch, JSON.stringify(found)],
      );
      const [removed = 0, others = 0] = (Array.isArray(reply) ? reply : []).map(Number);
      swept += removed;
      if (swept >= limit || Math.max(removed, others) < batch) break;
      [cutOffs, uses] = [[], []];
    }
    await release(limit);
    await repairFamilies();
    return swept;
  };
}

interface EndedKey {
  readonly keyId: string;
  /** Empty if the record has expired or was lost. */
  readonly text: string;
  /** Empty if it is not known. */
  readonly family: string;
  /** In the order of {@link namesOf}. */
  readonly names: readonly string[];
}

async function findEnded(
  client: RedisClient,
  beforeSeconds: number,
  limit: number,
): Promise<readonly EndedKey[]> {
  const range = ["-inf", `(${beforeSeconds}`, "LIMIT", 0, limit] as const;
  const keyIds = texts(await client.command("ZRANGEBYSCORE", client.keys.byEnd, ...range));
  const stored = await client.commands(keyIds.map((keyId) => ["GET", client.keys.key(keyId)] as const));
  return keyIds.map((keyId, at) => {
    const text = String(stored[at] ?? "");
    const record = decodeLeniently(keyId, text);
    return { keyId, text, family: record.family, names: namesOf(client.keys, record) };
  });
}

/** A damaged record must not stop the sweep of the others. */
function decodeLeniently(
  keyId: string,
  text: string,
): Pick<KeyRecord, "keyId" | "family" | "role" | "owner" | "legacy"> {
  try {
    return decodeRecord(keyId, text);
  } catch {
    return { keyId, family: "", role: "" };
  }
}

/** Some ids with a last use, at a random place of the index. */
async function someUses(client: RedisClient): Promise<readonly string[]> {
  const uses = Number(await client.command("ZCARD", client.keys.lastUsed));
  const from = Math.floor(Math.random() * uses);
  return texts(await client.command("ZRANGE", client.keys.lastUsed, from, from + USES - 1));
}

/** Reads the fields of the cut-offs portion by portion, because there may be one of each owner that never expires. */
function createCutOffCursor(client: RedisClient): () => Promise<readonly string[]> {
  let cursor = "0";
  return async () => {
    const reply = await client.command("HSCAN", client.keys.cutOffs, cursor, "COUNT", BATCH);
    const [next, members] = Array.isArray(reply) ? reply : [];
    cursor = texts([next])[0] ?? "0";
    return pairs(members).map(([field]) => field);
  };
}
