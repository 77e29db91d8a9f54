import type { DatabaseSync } from "node:sqlite";
import { decodeFeedEntry } from "../core/feed-entry.ts";
import type { KeyStore } from "../core/ports.ts";
import { createPut, Undone } from "./key-commit.ts";
import { integer, recordOf, text } from "./rows.ts";
import { inTransaction } from "./transaction.ts";

/** What the registry knows of V1 keys. */
export function createLegacy(
  sqlite: DatabaseSync,
): Pick<KeyStore, "findLegacy" | "importLegacy" | "legacyUse" | "migration"> {
  const byHash = sqlite.prepare("SELECT key_id, record FROM keys WHERE legacy_hash = ? OR legacy_alias = ?");
  const count = sqlite.prepare(
    "SELECT count(*) AS keys FROM keys WHERE legacy_hash IS NOT NULL AND role = ? AND coalesce(last_used_at, 0) >= ?",
  );
  const state = sqlite.prepare("SELECT value FROM shared_state WHERE name = ?");
  const audit = sqlite.prepare("INSERT INTO audit (at_ms, event) VALUES (?, ?)");
  const put = createPut(sqlite);
  const countSince = (role: string, since: number) => {
    const row = count.get(role, since);
    return row === undefined ? 0 : integer(row, "keys");
  };
  return {
    async findLegacy(hashes) {
      for (const hash of hashes) {
        const row = byHash.get(hash, hash);
        if (row !== undefined) return recordOf(row);
      }
      return undefined;
    },
    async importLegacy(records, event) {
      return inTransaction(sqlite, () => {
        const written = records.map((record) => {
          try {
            put(record);
            return true;
          } catch (error) {
            if (error instanceof Undone) return false;
            throw error;
          }
        });
        audit.run(event.atMs, JSON.stringify(event));
        return written;
      });
    },
    async legacyUse(role, since) {
      return { keys: countSince(role, 0), used: since.map((moment) => countSince(role, moment)) };
    },
    async migration() {
      const row = state.get("migration");
      const entry = row && decodeFeedEntry(text(row, "value"));
      return entry?.kind === "phase" ? entry.state : undefined;
    },
  };
}
