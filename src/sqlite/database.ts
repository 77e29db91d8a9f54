import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { ownFile } from "./own-file.ts";
import { findRegistry, takePlace } from "./registry-place.ts";

/** Each entry migrates the schema from the version of its index to the next one. A released entry never changes. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE keys (
     seq INTEGER PRIMARY KEY AUTOINCREMENT,
     key_id TEXT NOT NULL UNIQUE,
     family TEXT NOT NULL,
     owner TEXT,
     role TEXT NOT NULL,
     issued_at INTEGER NOT NULL,
     expires_at INTEGER NOT NULL,
     self_service INTEGER NOT NULL,
     ended INTEGER NOT NULL,
     version INTEGER NOT NULL,
     record TEXT NOT NULL,
     last_used_at INTEGER
   ) STRICT;
   CREATE INDEX keys_by_owner ON keys (owner, seq) WHERE owner IS NOT NULL;
   CREATE INDEX keys_by_expiry ON keys (expires_at);
   CREATE INDEX keys_self_service ON keys (expires_at) WHERE self_service = 1;
   CREATE INDEX keys_ended ON keys (seq) WHERE ended = 1;
   CREATE TABLE ended_families (family TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE cut_offs (
     scope TEXT NOT NULL, subject TEXT NOT NULL, before INTEGER NOT NULL, until INTEGER NOT NULL,
     PRIMARY KEY (scope, subject)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE remembered_calls (
     id TEXT PRIMARY KEY, body_digest TEXT NOT NULL, key_id TEXT NOT NULL, until INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX remembered_calls_by_until ON remembered_calls (until);
   CREATE TABLE audit (seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, event TEXT NOT NULL) STRICT;`,
  `ALTER TABLE keys ADD COLUMN legacy_hash TEXT;
   ALTER TABLE keys ADD COLUMN legacy_alias TEXT;
   CREATE UNIQUE INDEX keys_by_legacy_hash ON keys (legacy_hash) WHERE legacy_hash IS NOT NULL;
   CREATE UNIQUE INDEX keys_by_legacy_alias ON keys (legacy_alias) WHERE legacy_alias IS NOT NULL;
   CREATE INDEX keys_legacy_use ON keys (role, last_used_at) WHERE legacy_hash IS NOT NULL;
   CREATE TABLE shared_state (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;`,
  `ALTER TABLE keys ADD COLUMN migrated INTEGER NOT NULL DEFAULT 0;
   UPDATE keys SET migrated = 1 WHERE legacy_hash IS NOT NULL AND json_extract(record, '$.l[2]') <> 0;
   CREATE INDEX keys_unmigrated_use ON keys (role, last_used_at) WHERE legacy_hash IS NOT NULL AND migrated = 0;`,
  // From here on `self_service` means that the key counts against the limit. Keys that have ended do not count.
  `UPDATE keys SET self_service = 0 WHERE self_service = 1 AND (
     json_extract(record, '$.x') IS NOT NULL OR json_extract(record, '$.u') IS NOT NULL
     OR (legacy_hash IS NULL AND family GLOB '*_v1*' AND length(family) = 28)
     OR family IN (SELECT family FROM ended_families));
   CREATE INDEX keys_self_service_seq ON keys (seq) WHERE self_service = 1;`,
  `CREATE TABLE ended_keys (key_id TEXT PRIMARY KEY, standing TEXT NOT NULL, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   INSERT INTO shared_state (name, value) SELECT 'newest_date', coalesce(max(issued_at), 0) FROM keys;`,
  `CREATE INDEX IF NOT EXISTS ended_families_by_until ON ended_families (until);
   CREATE INDEX IF NOT EXISTS cut_offs_by_until ON cut_offs (until);
   CREATE INDEX IF NOT EXISTS ended_keys_by_until ON ended_keys (until);`,
  // The newest date, without the keys that the cut-off of their own owner dated ahead.
  "INSERT INTO shared_state (name, value) SELECT 'newest_uncut_date', value FROM shared_state WHERE name = 'newest_date';",
  `CREATE TABLE IF NOT EXISTS overrides (
     scope TEXT NOT NULL, subject TEXT NOT NULL, version INTEGER NOT NULL, entry TEXT NOT NULL, until INTEGER NOT NULL,
     PRIMARY KEY (scope, subject)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX IF NOT EXISTS overrides_by_until ON overrides (until);`,
  // Copied events: the store that wrote the event first with its position there, and whether an audit log has the event.
  "ALTER TABLE audit ADD COLUMN origin TEXT; ALTER TABLE audit ADD COLUMN logged INTEGER NOT NULL DEFAULT 0;",
  `CREATE TABLE IF NOT EXISTS quotas (
     counter_id TEXT PRIMARY KEY, window_ms INTEGER NOT NULL, used INTEGER NOT NULL, reported INTEGER NOT NULL,
     leases TEXT NOT NULL, posted TEXT NOT NULL, until INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX IF NOT EXISTS quotas_by_until ON quotas (until);`,
  `CREATE TABLE IF NOT EXISTS usage_hours (
     family TEXT NOT NULL, at INTEGER NOT NULL, usage TEXT NOT NULL, PRIMARY KEY (family, at)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX IF NOT EXISTS usage_hours_by_time ON usage_hours (at);
   CREATE TABLE IF NOT EXISTS usage_days (
     family TEXT NOT NULL, at INTEGER NOT NULL, usage TEXT NOT NULL, PRIMARY KEY (family, at)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX IF NOT EXISTS usage_days_by_time ON usage_days (at);
   CREATE TABLE IF NOT EXISTS usage_families (
     family TEXT PRIMARY KEY, owner TEXT NOT NULL, last_day INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX IF NOT EXISTS usage_families_by_owner ON usage_families (owner, family);
   CREATE INDEX IF NOT EXISTS usage_families_by_day ON usage_families (last_day);
   CREATE TABLE IF NOT EXISTS usage_posted (
     family TEXT NOT NULL, day INTEGER NOT NULL, instance TEXT NOT NULL, number INTEGER NOT NULL,
     PRIMARY KEY (family, day, instance)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX IF NOT EXISTS usage_posted_by_day ON usage_posted (day);
   CREATE TABLE IF NOT EXISTS usage_bytes (
     kind TEXT NOT NULL, day INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (kind, day)
   ) STRICT, WITHOUT ROWID;`,
  // Charges that were counted, so that none counts twice.
  `CREATE TABLE IF NOT EXISTS charges (
     counter_id TEXT NOT NULL, charge_id TEXT NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (counter_id, charge_id)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX IF NOT EXISTS charges_by_until ON charges (until);`,
  "CREATE INDEX IF NOT EXISTS keys_by_family ON keys (family, seq);",
  // The limit of the last step, for operators.
  "ALTER TABLE quotas ADD COLUMN unit_limit INTEGER NOT NULL DEFAULT 0;",
  // Until when a key counts for its owner (`ownerCountOf`).
  `ALTER TABLE keys ADD COLUMN owned_until INTEGER; ALTER TABLE keys ADD COLUMN overlap_until INTEGER;
   UPDATE keys SET owned_until = expires_at WHERE owner IS NOT NULL AND ended = 0;
   CREATE INDEX keys_owned ON keys (owner, owned_until) WHERE owned_until IS NOT NULL;
   CREATE INDEX keys_overlapping ON keys (owner, overlap_until) WHERE overlap_until IS NOT NULL;`,
];

export interface Database {
  readonly sqlite: DatabaseSync;
  /** Throws if the database file was removed or replaced, because writes would be lost. */
  checkPlace(): void;
  close(): void;
}

export interface DatabaseOptions {
  /** Accepts the present contents although an earlier registry is lost. */
  readonly acceptEmptyRegistry?: boolean;
}

/**
 * Opens the database of `DATA_DIR`, creates a missing folder, updates the schema, and locks the database for this process.
 * Throws if another process has it open or if a newer Latchkey has written it. Throws {@link RegistryLost} if the folder
 * contained another registry before.
 */
export function openDatabase(
  dataDir: string,
  { acceptEmptyRegistry = false }: DatabaseOptions = {},
): Database {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const found = acceptEmptyRegistry ? undefined : findRegistry(dataDir);
  const path = join(dataDir, "latchkey.db");
  ownFile(path);
  const sqlite = new DatabaseSync(path, { timeout: 0 });
  try {
    prepare(sqlite, dataDir);
    const place = takePlace(sqlite, dataDir, found);
    return {
      sqlite,
      checkPlace: place.check,
      close() {
        try {
          place.leave();
        } finally {
          sqlite.close();
        }
      },
    };
  } catch (error) {
    sqlite.close();
    throw error;
  }
}

function prepare(sqlite: DatabaseSync, dataDir: string): void {
  try {
    // The first write takes the lock and keeps it: two processes with one registry would not see each other's revocations.
    sqlite.exec(
      "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN EXCLUSIVE; COMMIT;",
    );
  } catch (error) {
    if (error instanceof Error && /locked|busy/i.test(error.message)) {
      throw new Error(`another process uses ${dataDir}: one embedded store serves one process`);
    }
    throw error;
  }
  const version = Number(sqlite.prepare("PRAGMA user_version").get()?.["user_version"]);
  if (version > MIGRATIONS.length) throw new Error(`${dataDir} was written by a newer Latchkey`);
  for (const [index, migration] of MIGRATIONS.entries()) {
    if (index < version) continue;
    sqlite.exec(`BEGIN IMMEDIATE; ${migration} PRAGMA user_version = ${index + 1}; COMMIT;`);
  }
}
