import type { DatabaseSync } from "node:sqlite";
import { text } from "./rows.ts";
import { inTransaction } from "./transaction.ts";

/** The named values of a database. */
export interface SharedState {
  get(name: string): string | undefined;
  /** Must run in a transaction. */
  setOne(name: string, value: string): void;
  /** Writes all of them in one transaction. */
  set(values: Readonly<Record<string, string>>): void;
  /** The names that start with a prefix. */
  names(prefix: string): readonly string[];
}

/** Holds the latest position of the audit events that were copied from this store. */
export const COPIED = "copied:";
export const copiedName = (store: string): string => COPIED + store;

export function createSharedState(sqlite: DatabaseSync): SharedState {
  const read = sqlite.prepare("SELECT value FROM shared_state WHERE name = ?");
  const write = sqlite.prepare(
    "INSERT INTO shared_state (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
  );
  const named = sqlite.prepare("SELECT name FROM shared_state WHERE substr(name, 1, ?) = ?");
  const setOne = (name: string, value: string) => void write.run(name, value);
  return {
    get(name) {
      const row = read.get(name);
      return row && text(row, "value");
    },
    setOne,
    set: (values) =>
      inTransaction(sqlite, () => {
        for (const [name, value] of Object.entries(values)) setOne(name, value);
      }),
    names: (prefix) => named.all(prefix.length, prefix).map((row) => text(row, "name")),
  };
}
