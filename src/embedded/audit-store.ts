import type { DatabaseSync } from "node:sqlite";
import { decodeEvent } from "../core/audit-event-text.ts";
import type { AuditStore, StoredEvent } from "../core/ports.ts";
import type { Database } from "./database.ts";
import type { Row } from "./rows.ts";
import { integer, text } from "./rows.ts";

const CURSOR = "audit_cursor";
const PLACE = /^\d{1,16}$/;

/** The events of the registry in SQLite; how far the log has them stands beside them. */
export function createAuditStore({ sqlite }: Database): AuditStore {
  const after = sqlite.prepare("SELECT seq, event FROM audit WHERE seq > ? ORDER BY seq LIMIT ?");
  const newest = sqlite.prepare("SELECT seq, event FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT ?");
  const mark = sqlite.prepare(
    "INSERT INTO shared_state (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
  );
  const forget = sqlite.prepare("DELETE FROM audit WHERE at_ms < ? AND seq <= ?");
  const marked = () => readMark(sqlite);
  return {
    claim: async (limit) => after.all(marked(), limit).map(toStored),
    async done(cursors) {
      const last = cursors.at(-1);
      if (last !== undefined) mark.run(CURSOR, last);
    },
    async read({ after: cursor, before = String(Number.MAX_SAFE_INTEGER), limit }) {
      if (!PLACE.test(cursor ?? before)) throw new RangeError("no such place");
      if (cursor !== undefined) return after.all(Number(cursor), limit).map(toStored);
      return newest.all(Number(before), limit).map(toStored).reverse();
    },
    async sweep(beforeMs) {
      // What is in no log yet is kept, however old it is.
      forget.run(beforeMs, marked());
    },
  };
}

function readMark(sqlite: DatabaseSync): number {
  const row = sqlite.prepare("SELECT value FROM shared_state WHERE name = ?").get(CURSOR);
  return row === undefined ? 0 : Number(text(row, "value"));
}

function toStored(row: Row): StoredEvent {
  return { cursor: String(integer(row, "seq")), event: decodeEvent(text(row, "event")) };
}
