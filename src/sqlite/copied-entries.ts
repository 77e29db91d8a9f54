import type { DatabaseSync } from "node:sqlite";
import type { CopiedRows, EntryOf, RowStore } from "../core/copy/ports.ts";
import type { StoredEntry } from "../core/revocation/instance-view.ts";
import { endsKey } from "../core/revocation/revocation.ts";
import { createEndWriter } from "./ends.ts";
import { createOverrideUpsert } from "./overrides.ts";
import { inTransaction } from "./transaction.ts";
import type { Table } from "./view-reader.ts";
import { cutOffsOf, endedKeysOf, familiesOf, overridesOf } from "./view-reader.ts";

/** What ends keys, except the columns of the keys themselves, and overrides. */
export function createEntryRows(
  sqlite: DatabaseSync,
): Pick<CopiedRows, "endedKeys" | "families" | "cutOffs" | "overrides"> {
  const writeEnd = createEndWriter(sqlite);
  const rows = createRowsOf(sqlite);
  return {
    endedKeys: rows("ended_keys", endedKeysOf(sqlite), "key", ({ keyId }) => [keyId], writeEnd, endsKey),
    families: rows("ended_families", familiesOf(sqlite), "family", ({ family }) => [family], writeEnd),
    cutOffs: rows("cut_offs", cutOffsOf(sqlite), "cutoff", subjectOf, writeEnd),
    overrides: rows("overrides", overridesOf(sqlite), "override", subjectOf, createOverrideUpsert(sqlite)),
  };
}

function subjectOf({ scope, subject }: EntryOf<"cutoff" | "override">): readonly string[] {
  return [scope, subject];
}

/** Returns a function for one table, whose positions are the ids of its rows. */
function createRowsOf(sqlite: DatabaseSync) {
  return <Name extends StoredEntry["kind"]>(
    tableName: string,
    table: Table,
    kind: Name,
    idOf: (row: EntryOf<Name>) => readonly string[],
    write: (row: EntryOf<Name>) => void,
    isRow: (row: EntryOf<Name>) => boolean = () => true,
  ): RowStore<EntryOf<Name>> => {
    const all = sqlite.prepare(`SELECT count(*) AS rows FROM ${tableName}`);
    const isKind = (entry: { readonly kind: string } | undefined): entry is EntryOf<Name> =>
      entry?.kind === kind;
    return {
      count: async () => Number(all.get()?.["rows"]),
      async *pages() {
        let after = table.first;
        for (;;) {
          const found = table.rows(after);
          const last = found.at(-1);
          if (last === undefined) return;
          yield found
            .map(({ entry }) => entry)
            .filter(isKind)
            .filter(isRow);
          after = last.position;
        }
      },
      find: async (rows) =>
        rows.map((row) => {
          const found = table.row(idOf(row));
          return isKind(found) ? found : undefined;
        }),
      async put(changes) {
        inTransaction(sqlite, () => {
          for (const { row } of changes) write(row);
        });
        return changes.map(() => "written");
      },
    };
  };
}
