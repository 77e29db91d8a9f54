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

/** Writes an override and returns its version. Throws {@link TransactionAborted} if it does not replace the version before. */
export function createOverrideWriter(
  sqlite: DatabaseSync,
): (change: OverrideChange, nowMs: number) => number {
  const find = sqlite.prepare("SELECT version FROM overrides WHERE scope = ? AND subject = ?");
  const write = sqlite.prepare(
    `INSERT INTO overrides (scope, subject, version, entry, until) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (scope, subject) DO UPDATE SET version = excluded.version, entry = excluded.entry, until = excluded.until`,
  );
  return ({ replaces, above, ...change }, nowMs) => {
    const { scope, subject } = change;
    const row = find.get(scope, subject);
    const stored = row === undefined ? 0 : integer(row, "version");
    if (stored !== replaces) throw new TransactionAborted({ kind: "conflict" });
    const override = { ...change, version: Math.max(stored + 1, above + 1, Math.floor(nowMs)) };
    write.run(scope, subject, override.version, encodeFeedEntry(override), forgetAt(override));
    return override.version;
  };
}
