import type { CopiedRows, RowStore } from "../core/copy/ports.ts";
import { decodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { CutOff, Ending, FamilyEnd, KeyRestriction } from "../core/revocation/revocation.ts";
import { endsKey } from "../core/revocation/revocation.ts";
import type { RedisClient } from "./client.ts";
import { cutOffField } from "./names.ts";
import { scorePages } from "./score-pages.ts";
import { hashPages, toCutOff } from "./snapshot.ts";
import { createWriteBack } from "./write-back.ts";

/** What ends keys. It is written as an instance writes back what the store has lost: merged, published and counted. */
export function createEndRows(client: RedisClient): Pick<CopiedRows, "endedKeys" | "families" | "cutOffs"> {
  const write = createWriteBack(client);
  const put = async (entries: readonly Ending[]) => {
    await write(entries);
    return entries.map(() => "written" as const);
  };
  return {
    endedKeys: {
      ...endedKeysIn(client),
      put: (changes) => put(changes.map(({ row }) => ({ kind: "key", ...row }))),
    },
    families: {
      ...familiesIn(client),
      put: (changes) => put(changes.map(({ row }) => ({ kind: "family", ...row }))),
    },
    cutOffs: {
      ...cutOffsIn(client),
      put: (changes) => put(changes.map(({ row }) => ({ kind: "cutoff", ...row }))),
    },
  };
}

type Reads<Row> = Omit<RowStore<Row>, "put">;

/** A key that has a record is copied with its record. */
function endedKeysIn(client: RedisClient): Reads<KeyRestriction> {
  const { keys } = client;
  const load = async (keyIds: readonly string[]) => {
    const found = await client.commands(keyIds.map((keyId) => ["HGET", keys.standings, keyId] as const));
    return found.map(toRestriction);
  };
  return {
    count: async () => Number(await client.command("ZCARD", keys.ended)),
    async *pages() {
      for await (const page of scorePages(client, keys.ended)) {
        const keyIds = page.map(([keyId]) => keyId);
        const records = await client.commands(keyIds.map((keyId) => ["EXISTS", keys.key(keyId)] as const));
        const rows = await load(keyIds.filter((_, at) => records[at] === 0));
        yield rows.filter((row) => row !== undefined && endsKey(row)).filter((row) => row !== undefined);
      }
    },
    find: (rows) => load(rows.map(({ keyId }) => keyId)),
  };
}

function toRestriction(text: unknown): KeyRestriction | undefined {
  const entry = typeof text === "string" ? decodeFeedEntry(text) : undefined;
  if (entry?.kind !== "key") return undefined;
  const { kind: _, ...restriction } = entry;
  return restriction;
}

function familiesIn(client: RedisClient): Reads<FamilyEnd> {
  const { endedFamilies } = client.keys;
  return {
    count: async () => Number(await client.command("ZCARD", endedFamilies)),
    async *pages() {
      for await (const page of scorePages(client, endedFamilies))
        yield page.map(([family, until]) => ({ family, until }));
    },
    async find(rows) {
      const found = await client.commands(
        rows.map(({ family }) => ["ZSCORE", endedFamilies, family] as const),
      );
      return rows.map(({ family }, at) =>
        found[at] === null ? undefined : { family, until: Number(found[at]) },
      );
    },
  };
}

function cutOffsIn(client: RedisClient): Reads<CutOff> {
  const { cutOffs } = client.keys;
  return {
    count: async () => Number(await client.command("HLEN", cutOffs)),
    async *pages() {
      // A scan can return a field twice. Every instance holds all cut-offs in memory, so their names fit here too.
      const seen = new Set<string>();
      for await (const page of hashPages(client, cutOffs)) {
        const fresh = page.filter(([field]) => !seen.has(field));
        for (const [field] of fresh) seen.add(field);
        yield fresh.map(toCutOff);
      }
    },
    async find(rows) {
      const fields = rows.map(cutOffField);
      const found = await client.commands(fields.map((field) => ["HGET", cutOffs, field] as const));
      return fields.map((field, at) => {
        const value = found[at];
        return typeof value === "string" ? toCutOff([field, value]) : undefined;
      });
    },
  };
}
