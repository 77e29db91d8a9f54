import type { CopiedRows, EntryOf, RowStore } from "../core/copy/ports.ts";
import { decodeWholeRecord } from "../core/keys/key-record-codec.ts";
import { decodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { StoredEntry } from "../core/revocation/instance-view.ts";
import { createInstanceView } from "../core/revocation/instance-view.ts";
import { endsKey, restrictionOf } from "../core/revocation/revocation.ts";
import type { RedisClient } from "./client.ts";
import { cutOffField, overrideField } from "./names.ts";
import { scorePages } from "./score-pages.ts";
import { hashPages, toCutOff } from "./snapshot.ts";
import { createWriteBack } from "./write-back.ts";

/**
 * What ends keys, and overrides. They are written as an instance writes back what the store has lost: merged, published and
 * counted.
 */
export function createEntryRows(
  client: RedisClient,
): Pick<CopiedRows, "endedKeys" | "families" | "cutOffs" | "overrides"> {
  const write = createWriteBack(client);
  const withPut = <Row extends StoredEntry>(reads: Reads<Row>): RowStore<Row> => ({
    ...reads,
    async put(changes) {
      await write(changes.map(({ row }) => row));
      return changes.map(() => "written");
    },
  });
  const { cutOffs, overrides } = client.keys;
  return {
    endedKeys: withPut(endedKeysIn(client)),
    families: withPut(familiesIn(client)),
    cutOffs: withPut(
      hashIn(client, cutOffs, cutOffField, ([field, value]) => ({
        kind: "cutoff",
        ...toCutOff([field, value]),
      })),
    ),
    overrides: withPut(hashIn(client, overrides, overrideField, ([, text]) => toOverride(text))),
  };
}

type Reads<Row> = Omit<RowStore<Row>, "put">;

/**
 * What a record includes is copied with the record. The end of an overlap that an instance has written back is in the standing
 * only, because the record does not know the successor.
 */
function endedKeysIn(client: RedisClient): Reads<EntryOf<"key">> {
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
        const [standings, records] = await Promise.all([
          load(keyIds),
          client.commands(keyIds.map((keyId) => ["GET", keys.key(keyId)] as const)),
        ]);
        yield standings.flatMap((row, at) =>
          row !== undefined && endsKey(row) && !isInRecord(row, records[at]) ? [row] : [],
        );
      }
    },
    find: (rows) => load(rows.map(({ keyId }) => keyId)),
  };
}

function isInRecord(standing: EntryOf<"key">, text: unknown): boolean {
  if (typeof text !== "string") return false;
  const view = createInstanceView();
  view.apply([restrictionOf(decodeWholeRecord(standing.keyId, text))]);
  return view.includes(standing);
}

function toRestriction(text: unknown): EntryOf<"key"> | undefined {
  const entry = typeof text === "string" ? decodeFeedEntry(text) : undefined;
  return entry?.kind === "key" ? entry : undefined;
}

function familiesIn(client: RedisClient): Reads<EntryOf<"family">> {
  const { endedFamilies } = client.keys;
  return {
    count: async () => Number(await client.command("ZCARD", endedFamilies)),
    async *pages() {
      for await (const page of scorePages(client, endedFamilies))
        yield page.map(([family, until]) => ({ kind: "family", family, until }));
    },
    async find(rows) {
      const found = await client.commands(
        rows.map(({ family }) => ["ZSCORE", endedFamilies, family] as const),
      );
      return rows.map(({ family }, at) =>
        found[at] === null ? undefined : { kind: "family", family, until: Number(found[at]) },
      );
    },
  };
}

/** @param toRow from a field and its value */
function hashIn<Row>(
  client: RedisClient,
  name: string,
  fieldOf: (row: Row) => string,
  toRow: (member: readonly [string, string]) => Row,
): Reads<Row> {
  return {
    count: async () => Number(await client.command("HLEN", name)),
    async *pages() {
      // A scan can return a field twice. Every instance holds all of these entries in memory, so their names fit here too.
      const seen = new Set<string>();
      for await (const page of hashPages(client, name)) {
        const fresh = page.filter(([field]) => !seen.has(field));
        for (const [field] of fresh) seen.add(field);
        yield fresh.map(toRow);
      }
    },
    async find(rows) {
      const fields = rows.map(fieldOf);
      const found = await client.commands(fields.map((field) => ["HGET", name, field] as const));
      return fields.map((field, at) => {
        const value = found[at];
        return typeof value === "string" ? toRow([field, value]) : undefined;
      });
    },
  };
}

function toOverride(text: string): EntryOf<"override"> {
  const entry = decodeFeedEntry(text);
  if (entry?.kind !== "override") throw new Error("an override is damaged");
  return entry;
}
