import type { DatabaseSync } from "node:sqlite";
import { decodeEvent } from "../core/audit/audit-event-codec.ts";
import { isAfter } from "../core/copy/origin.ts";
import type { AuditRow, RowStore } from "../core/copy/ports.ts";
import { PAGE } from "../core/copy/ports.ts";
import { CURSOR } from "./audit-store.ts";
import type { Row } from "./rows.ts";
import { integer, text } from "./rows.ts";
import type { SharedState } from "./shared-state.ts";
import { copiedName } from "./shared-state.ts";
import { inTransaction } from "./transaction.ts";

/** @param id the id of this store */
export function createAuditRows(sqlite: DatabaseSync, state: SharedState, id: string): RowStore<AuditRow> {
  const all = sqlite.prepare("SELECT count(*) AS rows FROM audit");
  const after = sqlite.prepare(
    "SELECT seq, event, origin, logged FROM audit WHERE seq > ? ORDER BY seq LIMIT ?",
  );
  const insert = sqlite.prepare("INSERT INTO audit (at_ms, event, origin, logged) VALUES (?, ?, ?, ?)");
  const isKnown = ({ origin: { store, cursor } }: AuditRow) =>
    store === id || !isAfter(cursor, state.get(copiedName(store)) ?? "0");
  return {
    count: async () => Number(all.get()?.["rows"]),
    async *pages() {
      const loggedUntil = Number(state.get(CURSOR) ?? 0);
      let seq = 0;
      for (;;) {
        const rows = after.all(seq, PAGE);
        const last = rows.at(-1);
        if (last === undefined) return;
        yield rows.map((row) => toRow(row, id, loggedUntil));
        seq = integer(last, "seq");
      }
    },
    find: async (rows) => rows.map((row) => (isKnown(row) ? row : undefined)),
    async put(changes) {
      return inTransaction(sqlite, () =>
        changes.map(({ row: { event, isLogged, origin } }) => {
          insert.run(event.atMs, JSON.stringify(event), `${origin.store} ${origin.cursor}`, isLogged ? 1 : 0);
          state.setOne(copiedName(origin.store), origin.cursor);
          return "written" as const;
        }),
      );
    },
  };
}

function toRow(row: Row, id: string, loggedUntil: number): AuditRow {
  const seq = integer(row, "seq");
  const origin = row["origin"];
  const [store = id, cursor = String(seq)] = typeof origin === "string" ? origin.split(" ") : [];
  return {
    event: decodeEvent(text(row, "event")),
    isLogged: integer(row, "logged") === 1 || seq <= loggedUntil,
    origin: { store, cursor },
  };
}
