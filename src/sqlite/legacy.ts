import type { DatabaseSync } from "node:sqlite";
import type { LegacyImporter, LegacyKeyReader, LegacyUseReader, PhaseReader } from "../core/legacy/ports.ts";
import { decodeFeedEntry } from "../core/revocation/feed-entry.ts";
import { createFreeze } from "./freeze.ts";
import { createRecordWriter } from "./record-writer.ts";
import { integer, recordOf, text } from "./rows.ts";
import { inTransaction, TransactionAborted } from "./transaction.ts";

/** The operations on V1 keys. */
export function createLegacy(
  sqlite: DatabaseSync,
  nowMs: () => number,
): LegacyKeyReader & LegacyImporter & LegacyUseReader & PhaseReader {
  const byHash = sqlite.prepare("SELECT key_id, record FROM keys WHERE legacy_hash = ? OR legacy_alias = ?");
  const used =
    "SELECT count(*) AS keys FROM keys WHERE legacy_hash IS NOT NULL AND role = ? AND last_used_at >= ?";
  const all = "SELECT count(*) AS keys FROM keys WHERE legacy_hash IS NOT NULL AND role = ?";
  const ofAll = { all: sqlite.prepare(all), used: sqlite.prepare(used) };
  const ofUnmigrated = {
    all: sqlite.prepare(`${all} AND migrated = 0`),
    used: sqlite.prepare(`${used} AND migrated = 0`),
  };
  const state = sqlite.prepare("SELECT value FROM shared_state WHERE name = ?");
  const audit = sqlite.prepare("INSERT INTO audit (at_ms, event) VALUES (?, ?)");
  const writeRecord = createRecordWriter(sqlite);
  const freeze = createFreeze(sqlite);
  const use = (count: typeof ofAll, role: string, since: readonly number[]) => ({
    keys: keysIn(count.all.get(role)),
    used: since.map((moment) => keysIn(count.used.get(role, moment))),
  });
  return {
    async findLegacy(hashes) {
      for (const hash of hashes) {
        const row = byHash.get(hash, hash);
        if (row !== undefined) return recordOf(row);
      }
      return undefined;
    },
    async importLegacy(records, event) {
      const frozenUntil = freeze.until(Math.floor(nowMs() / 1000));
      if (frozenUntil !== undefined) return { kind: "frozen", until: frozenUntil };
      return inTransaction(sqlite, () => {
        const written = records.map((record) => {
          try {
            writeRecord(record);
            return true;
          } catch (error) {
            if (error instanceof TransactionAborted) return false;
            throw error;
          }
        });
        if (written.includes(true)) audit.run(event.atMs, JSON.stringify(event));
        return written;
      });
    },
    async legacyUse(role, since) {
      return { ...use(ofAll, role, since), unmigrated: use(ofUnmigrated, role, since) };
    },
    async migration() {
      const row = state.get("migration");
      const entry = row && decodeFeedEntry(text(row, "value"));
      return entry?.kind === "phase" ? entry.state : undefined;
    },
  };
}

function keysIn(row: Parameters<typeof integer>[0] | undefined): number {
  return row === undefined ? 0 : integer(row, "keys");
}
