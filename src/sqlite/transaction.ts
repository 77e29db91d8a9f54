import type { DatabaseSync } from "node:sqlite";

/** Runs synchronous work as one transaction: all of it, durable, or nothing. */
export function inTransaction<T>(sqlite: DatabaseSync, work: () => T): T {
  sqlite.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    sqlite.exec("COMMIT");
    return result;
  } catch (error) {
    // SQLite ends some failed transactions by itself, a full disk among them.
    if (sqlite.isTransaction) sqlite.exec("ROLLBACK");
    throw error;
  }
}
