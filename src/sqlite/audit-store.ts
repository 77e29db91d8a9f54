import type { DatabaseSync } from "node:sqlite";
import { setImmediate as nextTurn } from "node:timers/promises";
import { decodeEvent } from "../core/audit/audit-event-codec.ts";
import type { AuditStore, StoredEvent } from "../core/audit/ports.ts";
import type { Database } from "./database.ts";
import type { Row } from "./rows.ts";
import { integer, text } from "./rows.ts";

const CURSOR = "audit_cursor";
/** Rows of one transaction: other calls have their turn between two. */
const SWEPT_AT_ONCE = 500;
const PLACE = /^\d{1,16}$/;

/** The events of the registry in SQLite; how far the log has them stands beside them. */
export function createAuditStore({ sqlite }: Database): AuditStore {
  const after = sqlite.prepare("SELECT seq, event FROM audit WHERE seq > ? ORDER BY seq LIMIT ?");
  const newest = sqlite.prepare("SELECT seq, event FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT ?");
  const mark = sqlite.prepare(
    "INSERT INTO shared_state (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
  );
  const oldest = sqlite.prepare("SELECT seq, at_ms FROM audit WHERE seq <= ? ORDER BY seq LIMIT ?");
  const forget = sqlite.prepare("DELETE FROM audit WHERE seq <= ?");
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
      for (;;) {
        // What is in no log yet is kept, however old it is. Events stand in the order of their times: the first one that
        // is young enough ends the walk, and no index on the time is needed.
        const rows = oldest.all(marked(), SWEPT_AT_ONCE);
        const young = rows.findIndex((row) => integer(row, "at_ms") >= beforeMs);
        const last = young === -1 ? rows.at(-1) : rows[young - 1];
        if (last === undefined) return;
        forget.run(integer(last, "seq"));
        if (young !== -1 || rows.length < SWEPT_AT_ONCE) return;
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
  return { cursor: String(integer(row, "seq")), event: decodeEvent(text(row, "event")) };
}
