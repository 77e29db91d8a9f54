import type { KeyRow, PutOutcome, RowChange, RowStore } from "../core/copy/ports.ts";
import type { KeyRecord } from "../core/keys/key-record.ts";
import { decodeWholeRecord } from "../core/keys/key-record-codec.ts";
import type { KeyStore } from "../core/keys/ports.ts";
import type { RedisClient } from "./client.ts";
import { namesOf, recordToWire, SWEEP_GRACE_SECONDS } from "./commit-wire.ts";
import type { RegistryKeys } from "./names.ts";
import { FEED_LENGTH } from "./names.ts";
import { texts } from "./replies.ts";
import { scorePages } from "./score-pages.ts";
import { scriptText } from "./script-text.ts";

const SOURCE = scriptText("copy-keys");
const indexesOf = (keys: RegistryKeys) => [
  keys.sequence,
  keys.byAge,
  keys.byEnd,
  keys.ended,
  keys.selfService,
  keys.standings,
  keys.feed,
  keys.feedSequence,
  keys.counts,
  keys.newest,
  keys.newestUncut,
  keys.cutOffs,
  keys.byFamily,
];
/** Few enough not to delay Checks. */
const PORTION = 50;

/** The records with their indexes, in the order of creation. */
export function createKeyRows(
  client: RedisClient,
  store: Pick<KeyStore, "noteUse" | "lastUsed">,
  recordRetentionSeconds: number,
): RowStore<KeyRow> {
  const { keys } = client;
  const load = async (keyIds: readonly string[]): Promise<readonly (KeyRow | undefined)[]> => {
    const [stored, used] = await Promise.all([
      client.commands(keyIds.map((keyId) => ["GET", keys.key(keyId)] as const)),
      store.lastUsed(keyIds),
    ]);
    return keyIds.map((keyId, at) => {
      const text = stored[at];
      if (typeof text !== "string") return undefined;
      const usedAt = used.get(keyId);
      return { record: decodeWholeRecord(keyId, text), text, ...(usedAt !== undefined && { usedAt }) };
    });
  };
  const putRecords = createRecordPut(client, recordRetentionSeconds);
  return {
    count: async () => Number(await client.command("ZCARD", keys.byAge)),
    async *pages() {
      for await (const page of scorePages(client, keys.byAge)) {
        const rows = await load(page.map(([keyId]) => keyId));
        // A sweep is removing a member that has no record.
        yield rows.filter((row) => row !== undefined);
      }
    },
    find: (rows) => load(rows.map(({ record }) => record.keyId)),
    async put(changes) {
      const outcomes: PutOutcome[] = [];
      for (let start = 0; start < changes.length; start += PORTION) {
        const portion = changes.slice(start, start + PORTION);
        const isUnchanged = ({ row, replaced }: RowChange<KeyRow>) => row.record === replaced?.record;
        const written = await putRecords(portion.filter((change) => !isUnchanged(change)));
        let next = 0;
        outcomes.push(
          ...portion.map((change) => (isUnchanged(change) ? "written" : (written[next++] ?? "changed"))),
        );
      }
      await store.noteUse(usesOf(changes, outcomes));
      return outcomes;
    },
  };
}

function createRecordPut(client: RedisClient, recordRetentionSeconds: number) {
  const run = client.script(SOURCE, "copy-keys");
  const { keys } = client;
  return async (changes: readonly RowChange<KeyRow>[]): Promise<readonly PutOutcome[]> => {
    if (changes.length === 0) return [];
    const puts = changes.map((change) => ({
      ...recordToWire(change.row.record, recordRetentionSeconds + SWEEP_GRACE_SECONDS),
      ...(change.replaced?.text !== undefined && { replaces: change.replaced.text }),
      formerHashes: formerHashes(change).length,
    }));
    const names = changes.flatMap(({ row }) => namesOf(keys, row.record));
    const former = changes.flatMap(formerHashes).map(keys.legacyHash);
    const reply = await run([...indexesOf(keys), ...names, ...former], [FEED_LENGTH, JSON.stringify(puts)]);
    return texts(reply).map((code) => (code === "1" ? "written" : code === "0" ? "changed" : "conflict"));
  };
}

/** The hashes by which a V1 key of the target is no longer found: instances store a key under a new secret when it is used. */
function formerHashes({ row, replaced }: RowChange<KeyRow>): readonly string[] {
  const kept = hashesOf(row.record);
  return replaced === undefined ? [] : hashesOf(replaced.record).filter((hash) => !kept.includes(hash));
}

function hashesOf({ legacy }: KeyRecord): readonly string[] {
  return legacy === undefined ? [] : [legacy.hash, legacy.alias ?? legacy.hash];
}

function usesOf(changes: readonly RowChange<KeyRow>[], outcomes: readonly PutOutcome[]) {
  const uses = changes.flatMap(({ row, replaced }, at) =>
    outcomes[at] === "written" && row.usedAt !== undefined && row.usedAt !== replaced?.usedAt
      ? [[row.record.keyId, row.usedAt] as const]
      : [],
  );
  return new Map(uses);
}
