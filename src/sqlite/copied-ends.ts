import type { DatabaseSync } from "node:sqlite";
import type { CopiedRows, RowStore } from "../core/copy/ports.ts";
import type { CutOff, Ending, FamilyEnd, KeyRestriction, Revocation } from "../core/revocation/revocation.ts";
import { endsKey } from "../core/revocation/revocation.ts";
import { createEndWriter } from "./ends.ts";
import type { Table } from "./revocation-reader.ts";
import { cutOffsOf, endedKeysOf, familiesOf } from "./revocation-reader.ts";
import { inTransaction } from "./transaction.ts";

/** What ends keys, except the columns of the keys themselves. */
export function createEndRows(sqlite: DatabaseSync): Pick<CopiedRows, "endedKeys" | "families" | "cutOffs"> {
  const writeEnd = createEndWriter(sqlite);
  const put = async (endings: readonly Ending[]) =>
    inTransaction(sqlite, () =>
      endings.map((ending) => {
        writeEnd(ending);
        return "written" as const;
      }),
    );
  const count = (table: string) => async () =>
    Number(sqlite.prepare(`SELECT count(*) AS rows FROM ${table}`).get()?.["rows"]);
  return {
    endedKeys: {
      count: count("ended_keys"),
      ...readsOf(endedKeysOf(sqlite), "key", ({ keyId }) => [keyId], endsKey),
      put: (changes) => put(changes.map(({ row }) => ({ kind: "key", ...row }))),
    } satisfies RowStore<KeyRestriction>,
    families: {
      count: count("ended_families"),
      ...readsOf(familiesOf(sqlite), "family", ({ family }) => [family]),
      put: (changes) => put(changes.map(({ row }) => ({ kind: "family", ...row }))),
    } satisfies RowStore<FamilyEnd>,
    cutOffs: {
      count: count("cut_offs"),
      ...readsOf(cutOffsOf(sqlite), "cutoff", ({ scope, subject }) => [scope, subject]),
      put: (changes) => put(changes.map(({ row }) => ({ kind: "cutoff", ...row }))),
    } satisfies RowStore<CutOff>,
  };
}

/** Reads the rows of one table, whose positions are their ids. */
function readsOf<Kind extends Ending["kind"], Found extends Extract<Ending, { kind: Kind }>>(
  table: Table,
  kind: Kind,
  idOf: (row: Omit<Found, "kind">) => readonly string[],
  isRow: (row: Found) => boolean = () => true,
): Pick<RowStore<Omit<Found, "kind">>, "pages" | "find"> {
  const isKind = (revocation: Revocation | undefined): revocation is Found => revocation?.kind === kind;
  const withoutKind = ({ kind: _, ...row }: Found) => row;
  return {
    async *pages() {
      let after = table.first;
      for (;;) {
        const rows = table.rows(after);
        const last = rows.at(-1);
        if (last === undefined) return;
        const found = rows.map(({ revocation }) => revocation).filter(isKind);
        yield found.filter(isRow).map(withoutKind);
        after = last.position;
      }
    },
    find: async (rows) =>
      rows.map((row) => {
        const found = table.row(idOf(row));
        return isKind(found) ? withoutKind(found) : undefined;
      }),
  };
}
