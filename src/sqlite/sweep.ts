import type { DatabaseSync } from "node:sqlite";
import type { Database } from "./database.ts";

/** After a longer pause, nothing confirms that the wall clock is correct. */
const RECENT_MS = 3_600_000;

/** Whether a process swept this registry within the last hour by this clock, so that the clock has not jumped since. */
export function wasOpenRecently({ sqlite }: Pick<Database, "sqlite">, nowMs: number): boolean {
  const row = sqlite.prepare("SELECT value FROM shared_state WHERE name = 'swept_at'").get();
  return row !== undefined && Math.abs(nowMs - Number(row["value"]) * 1000) < RECENT_MS;
}

/** Deletes a limited number of rows of each table, by an index on their end. */
export function createSweep(sqlite: DatabaseSync) {
  const state = "INSERT INTO shared_state (name, value)";
  const note = sqlite.prepare(
    `${state} VALUES ('swept_at', ?) ON CONFLICT DO UPDATE SET value = excluded.value`,
  );
  const noteForgotten = sqlite.prepare(
    `${state} VALUES ('forgotten', ?)
     ON CONFLICT (name) DO UPDATE SET value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER))`,
  );
  const keys = sqlite.prepare(
    "DELETE FROM keys WHERE seq IN (SELECT seq FROM keys WHERE expires_at < ? ORDER BY expires_at LIMIT ?)",
  );
  const deleteFrom = (table: string, key: string) =>
    sqlite.prepare(
      `DELETE FROM ${table} WHERE ${key} IN (SELECT ${key.replace(/[()]/g, "")} FROM ${table} WHERE until <= ? LIMIT ?)`,
    );
  const tables = [
    deleteFrom("remembered_calls", "id"),
    deleteFrom("ended_families", "family"),
    deleteFrom("ended_keys", "key_id"),
    deleteFrom("cut_offs", "(scope, subject)"),
    deleteFrom("quotas", "counter_id"),
    deleteFrom("charges", "(counter_id, charge_id)"),
    deleteFrom("overrides", "(scope, subject)"),
  ];
  return {
    /** Records that the store is open. This write also detects a disk that no longer takes writes. */
    noteOpen: (nowSeconds: number) => void note.run(String(nowSeconds)),
    /** Records up to which time entries may be missing. */
    noteForgotten: (before: number) => void noteForgotten.run(String(before)),
    /** Deletes entries that ran out. Returns whether a table may have more of them. */
    forgetEntries(before: number, limit: number): boolean {
      const deleted = tables.map((table) => Number(table.run(before, limit).changes));
      return Math.max(...deleted) >= limit;
    },
    /** Deletes records of keys that ended before this time. Returns their number. */
    forgetKeys: (endedBefore: number, limit: number) => Number(keys.run(endedBefore, limit).changes),
  };
}
