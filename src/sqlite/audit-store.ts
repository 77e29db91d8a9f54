import type { DatabaseSync } from "node:sqlite";
import { setImmediate as nextTurn } from "node:timers/promises";
import { decodeEvent } from "../core/audit/audit-event-codec.ts";
import type { AuditStore, StoredEvent } from "../core/audit/ports.ts";
import type { Database } from "./database.ts";
import type { Row } from "./rows.ts";
import { integer, text } from "./rows.ts";

/** Names the mark in `shared_state`. */
export const CURSOR = "audit_cursor";
/** Rows of one transaction. Other calls can run between two transactions. */
const SWEEP_BATCH = 500;
const CURSOR_FORM = /^\d{1,16}$/;
const ROWS = "SELECT seq, at_ms, event, origin FROM audit";

/** The events of the registry in SQLite, with a mark of the last event that is in the audit log. */
export function createAuditStore({ sqlite }: Database): AuditStore {
  const after = sqlite.prepare(`${ROWS} WHERE seq > ? ORDER BY seq LIMIT ?`);
  const unlogged = sqlite.prepare(`${ROWS} WHERE seq > ? AND logged = 0 ORDER BY seq LIMIT ?`);
  const newest = sqlite.prepare(`${ROWS} WHERE seq < ? ORDER BY seq DESC LIMIT ?`);
  const mark = sqlite.prepare(
    "INSERT INTO shared_state (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
  );
  const oldest = sqlite.prepare("SELECT seq, at_ms FROM audit WHERE seq <= ? ORDER BY seq LIMIT ?");
  const forget = sqlite.prepare("DELETE FROM audit WHERE seq <= ?");
  const marked = () => readMark(sqlite);
  return {
    claim: async (limit) => unlogged.all(marked(), limit).map(toStored),
    async done(cursors) {
      const last = cursors.at(-1);
      if (last !== undefined) mark.run(CURSOR, last);
    },
    async read({ fromOldest, after: cursor, before = String(Number.MAX_SAFE_INTEGER), limit }) {
      if (fromOldest) return after.all(0, limit).map(toStored);
      if (!CURSOR_FORM.test(cursor ?? before)) throw new RangeError("no such cursor");
      if (cursor !== undefined) return after.all(Number(cursor), limit).map(toStored);
      return newest.all(Number(before), limit).map(toStored).reverse();
    },
    async sweep(beforeMs) {
      for (;;) {
        // An event that is not in the log yet is kept, whatever its age. Events are in the order of their times, so the first
        // one that is young enough ends the loop, and the time needs no index.
        const rows = oldest.all(marked(), SWEEP_BATCH);
        const young = rows.findIndex((row) => integer(row, "at_ms") >= beforeMs);
        const last = young === -1 ? rows.at(-1) : rows[young - 1];
        if (last === undefined) return;
        forget.run(integer(last, "seq"));
        if (young !== -1 || rows.length < SWEEP_BATCH) return;
        await nextTurn();
      }
    },
  };
}

function readMark(sqlite: DatabaseSync): number {
  const row = sqlite.prepare("SELECT value FROM shared_state WHERE name = ?").get(CURSOR);
  return row === undefined ? 0 : Number(text(row, "value"));
}

function toStored(row: Row): StoredEvent {
  const stored = { cursor: String(integer(row, "seq")), event: decodeEvent(text(row, "event")) };
  // The time of a copied event is that of its first store.
  return row["origin"] === null ? { ...stored, writtenMs: integer(row, "at_ms") } : stored;
}
