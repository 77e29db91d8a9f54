import type { DatabaseSync } from "node:sqlite";
import type { OverrideChange } from "../core/keys/key-change.ts";
import type { OverrideReader } from "../core/keys/ports.ts";
import type { StoredOverride } from "../core/overrides/override.ts";
import { forgetAt } from "../core/overrides/override.ts";
import { decodeFeedEntry, encodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { Row } from "./rows.ts";
import { integer, text } from "./rows.ts";
import { TransactionAborted } from "./transaction.ts";

/** The override in the column `entry`. Throws if it is damaged. */
export function overrideIn(row: Row): StoredOverride {
  const entry = decodeFeedEntry(text(row, "entry"));
  if (entry?.kind !== "override") throw new Error("an override is damaged");
  return entry;
}

export function createOverrideReader(sqlite: DatabaseSync): OverrideReader {
  const find = sqlite.prepare("SELECT entry FROM overrides WHERE scope = ? AND subject = ?");
  return {
    async findOverride({ scope, subject }) {
      const row = find.get(scope, subject);
      return row && overrideIn(row);
    },
  };
}

/** Writes an override with its version, unless a newer one is stored. */
export function createOverrideUpsert(sqlite: DatabaseSync): (override: StoredOverride) => void {
  const write = sqlite.prepare(
    `INSERT INTO overrides (scope, subject, version, entry, until) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (scope, subject) DO UPDATE SET version = excluded.version, entry = excluded.entry, until = excluded.until
     WHERE excluded.version > version`,
  );
  return (override) => {
    const { scope, subject, version } = override;
    write.run(scope, subject, version, encodeFeedEntry(override), forgetAt(override));
  };
}

/** Writes an override and returns its version. Throws {@link TransactionAborted} if it does not replace the version before, or if there are too many. */
export function createOverrideWriter(
  sqlite: DatabaseSync,
): (change: OverrideChange, nowMs: number) => number {
  const find = sqlite.prepare("SELECT version FROM overrides WHERE scope = ? AND subject = ?");
  const write = sqlite.prepare(
    `INSERT INTO overrides (scope, subject, version, entry, until) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (scope, subject) DO UPDATE SET version = excluded.version, entry = excluded.entry, until = excluded.until`,
  );
  const count = sqlite.prepare("SELECT count(*) AS overrides FROM overrides");
  return ({ replaces, above, below, ...change }, nowMs) => {
    const { scope, subject } = change;
    const row = find.get(scope, subject);
    const stored = row === undefined ? 0 : integer(row, "version");
    if (stored !== replaces) throw new TransactionAborted({ kind: "conflict" });
    if (row === undefined && Number(count.get()?.["overrides"]) >= below)
      throw new TransactionAborted({ kind: "too_many_overrides" });
    const override = { ...change, version: Math.max(stored + 1, above + 1, Math.floor(nowMs)) };
    write.run(scope, subject, override.version, encodeFeedEntry(override), forgetAt(override));
    return override.version;
  };
}
