import type { DatabaseSync } from "node:sqlite";
import { decodeEvent } from "../core/audit/audit-event-codec.ts";
import { copiedEventId, isAfter, isRemoved } from "../core/copy/copied-event.ts";
import type { AuditRow, RowStore } from "../core/copy/ports.ts";
import { PAGE } from "../core/copy/ports.ts";
import { CURSOR } from "./audit-store.ts";
import type { Row } from "./rows.ts";
import { integer, text } from "./rows.ts";
import type { SharedState } from "./shared-state.ts";
import { copiedName } from "./shared-state.ts";
import { inTransaction } from "./transaction.ts";

export interface AuditRowsDeps {
  readonly sqlite: DatabaseSync;
  readonly state: SharedState;
  /** The id of this store. */
  readonly id: string;
  readonly nowMs: () => number;
  /** How long this store keeps logged events. */
  readonly retentionSeconds: number;
}

/** The audit events, for one pass over them: no index finds an event by its id, so the ids are read once and kept. */
export function createAuditRows(deps: AuditRowsDeps): RowStore<AuditRow> {
  const { sqlite, state, id, nowMs, retentionSeconds } = deps;
  const all = sqlite.prepare("SELECT count(*) AS rows FROM audit");
  const insert = sqlite.prepare("INSERT INTO audit (at_ms, event, origin, logged) VALUES (?, ?, ?, ?)");
  const pages = createPages(deps);
  const copiedUntil = (store: string) => state.get(copiedName(store));
  let ids: Set<string> | undefined;
  // No one else writes: a copy locks the folder.
  const knownIds = () => {
    ids ??= new Set(pages().flatMap((rows) => rows.map(copiedEventId)));
    return ids;
  };
  const append = ({ event, isLogged, origin }: AuditRow) => {
    insert.run(event.atMs, JSON.stringify(event), `${origin.store} ${origin.cursor}`, isLogged ? 1 : 0);
    if (isAfter(origin.cursor, copiedUntil(origin.store) ?? "0"))
      state.setOne(copiedName(origin.store), origin.cursor);
  };
  return {
    count: async () => Number(all.get()?.["rows"]),
    async *pages() {
      yield* pages();
    },
    async find(rows) {
      const known = knownIds();
      const removed = { storeId: id, beforeMs: nowMs() - retentionSeconds * 1000, copiedUntil };
      return rows.map((row) => (known.has(copiedEventId(row)) || isRemoved(row, removed) ? row : undefined));
    },
    async put(changes) {
      const known = knownIds();
      const fresh = new Map(changes.map(({ row }) => [copiedEventId(row), row] as const));
      inTransaction(sqlite, () => {
        for (const [eventId, row] of fresh) if (!known.has(eventId)) append(row);
      });
      for (const eventId of fresh.keys()) known.add(eventId);
      return changes.map(() => "written");
    },
  };
}

function createPages({ sqlite, state, id }: AuditRowsDeps) {
  const after = sqlite.prepare(
    "SELECT seq, event, origin, logged FROM audit WHERE seq > ? ORDER BY seq LIMIT ?",
  );
  return function* pages(): Generator<readonly AuditRow[]> {
    const loggedUntil = Number(state.get(CURSOR) ?? 0);
    for (let seq = 0; ; ) {
      const rows = after.all(seq, PAGE);
      const last = rows.at(-1);
      if (last === undefined) return;
      yield rows.map((row) => toRow(row, id, loggedUntil));
      seq = integer(last, "seq");
    }
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
