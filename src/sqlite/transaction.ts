import type { DatabaseSync } from "node:sqlite";
import type { CommitOutcome } from "../core/keys/key-change.ts";

/** Thrown inside a transaction to roll it back. It never leaves this module. */
export class TransactionAborted extends Error {
  readonly outcome: CommitOutcome;
  constructor(outcome: CommitOutcome) {
    super(outcome.kind);
    this.outcome = outcome;
  }
}

/** Runs synchronous work as one durable transaction. An error rolls it back. */
export function inTransaction<T>(sqlite: DatabaseSync, work: () => T): T {
  sqlite.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    sqlite.exec("COMMIT");
    return result;
  } catch (error) {
    // SQLite has already rolled back some failed transactions, for example on a full disk.
    if (sqlite.isTransaction) sqlite.exec("ROLLBACK");
    throw error;
  }
}
