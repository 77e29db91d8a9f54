import type { DatabaseSync } from "node:sqlite";
import type { KeyRow, PutOutcome, RowChange, RowStore } from "../core/copy/ports.ts";
import { PAGE } from "../core/copy/ports.ts";
import { decodeWholeRecord } from "../core/keys/key-record-codec.ts";
import type { KeyStore } from "../core/keys/ports.ts";
import { createRecordUpsert } from "./record-writer.ts";
import type { Row } from "./rows.ts";
import { integer, text } from "./rows.ts";
import { inTransaction } from "./transaction.ts";

/** The records with their columns, in the order of creation. */
export function createKeyRows(sqlite: DatabaseSync, store: Pick<KeyStore, "noteUse">): RowStore<KeyRow> {
  const all = sqlite.prepare("SELECT count(*) AS rows FROM keys");
  const columns = "seq, key_id, record, last_used_at";
  const after = sqlite.prepare(`SELECT ${columns} FROM keys WHERE seq > ? ORDER BY seq LIMIT ?`);
  const byId = sqlite.prepare(`SELECT ${columns} FROM keys WHERE key_id = ?`);
  const ofHash = sqlite.prepare(
    "SELECT 1 FROM keys WHERE (legacy_hash IN (?, ?) OR legacy_alias IN (?, ?)) AND key_id <> ?",
  );
  const write = createRecordUpsert(sqlite);
  const put = ({ row: { record }, replaced }: RowChange<KeyRow>): PutOutcome => {
    const { keyId, legacy } = record;
    if (byId.get(keyId)?.["record"] !== replaced?.text) return "changed";
    if (record === replaced?.record) return "written";
    const hashes = [legacy?.hash ?? null, legacy?.alias ?? null];
    if (legacy !== undefined && ofHash.get(...hashes, ...hashes, keyId) !== undefined) return "conflict";
    write(record);
    return "written";
  };
  return {
    count: async () => Number(all.get()?.["rows"]),
    async *pages() {
      let seq = 0;
      for (;;) {
        const rows = after.all(seq, PAGE);
        const last = rows.at(-1);
        if (last === undefined) return;
        yield rows.map(toRow);
        seq = integer(last, "seq");
      }
    },
    find: async (rows) =>
      rows.map(({ record }) => {
        const row = byId.get(record.keyId);
        return row && toRow(row);
      }),
    async put(changes) {
      const outcomes = inTransaction(sqlite, () => changes.map(put));
      const uses = changes.flatMap(({ row }, at) =>
        outcomes[at] === "written" && row.usedAt !== undefined
          ? [[row.record.keyId, row.usedAt] as const]
          : [],
      );
      await store.noteUse(new Map(uses));
      return outcomes;
    },
  };
}

function toRow(row: Row): KeyRow {
  const stored = text(row, "record");
  const usedAt = row["last_used_at"];
  return {
    record: decodeWholeRecord(text(row, "key_id"), stored),
    text: stored,
    ...(typeof usedAt === "number" && { usedAt }),
  };
}
