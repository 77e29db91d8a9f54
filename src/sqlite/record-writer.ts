import type { DatabaseSync } from "node:sqlite";
import { ownerOf } from "../core/decision/principal.ts";
import type { KeyRecord } from "../core/keys/key-record.ts";
import { countsAsSelfService, ownerCountOf } from "../core/keys/key-record.ts";
import { encodeRecord } from "../core/keys/key-record-codec.ts";
import { TransactionAborted } from "./transaction.ts";

/** Writes a record. Throws {@link TransactionAborted} if it does not replace the version before. */
export function createRecordWriter(sqlite: DatabaseSync): (record: KeyRecord) => void {
  const noteDate = createDateWriter(sqlite);
  const insert = sqlite.prepare(
    `INSERT INTO keys (key_id, family, owner, role, issued_at, expires_at, self_service, ended, version, record, legacy_hash, legacy_alias, owned_until)
     VALUES (?, ?, ?, ?, ?, ?, ?, 0, 1, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
  );
  const update = sqlite.prepare(
    `UPDATE keys SET record = ?, ended = ?, version = ?, legacy_hash = ?, legacy_alias = ?, migrated = ?,
     self_service = self_service * ?, owned_until = ?, overlap_until = ?
     WHERE key_id = ? AND version = ?`,
  );
  return (record) => {
    const { keyId, family, owner, role, issuedAt, expiresAt, version } = record;
    const text = encodeRecord(record);
    const written =
      version === 1
        ? insert.run(
            keyId,
            family,
            owner ?? null,
            role,
            issuedAt,
            expiresAt,
            countsAsSelfService(record) ? 1 : 0,
            text,
            record.legacy?.hash ?? null,
            aliasOf(record),
            owner === undefined ? null : expiresAt,
          )
        : update.run(
            text,
            endedFlag(record),
            version,
            record.legacy?.hash ?? null,
            aliasOf(record),
            record.legacy?.migratedAt === undefined ? 0 : 1,
            countsAsSelfService(record) ? 1 : 0,
            ...ownerCountsOf(record),
            keyId,
            version - 1,
          );
    if (written.changes === 0) throw new TransactionAborted({ kind: "conflict" });
    if (version === 1) noteDate(record);
  };
}

/** Writes a record of any version, whether or not the key is known. */
export function createRecordUpsert(sqlite: DatabaseSync): (record: KeyRecord) => void {
  const noteDate = createDateWriter(sqlite);
  const upsert = sqlite.prepare(
    `INSERT INTO keys (key_id, family, owner, role, issued_at, expires_at, record, ended, version, legacy_hash, legacy_alias, migrated, self_service, owned_until, overlap_until)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (key_id) DO UPDATE SET record = excluded.record, ended = excluded.ended, version = excluded.version,
     legacy_hash = excluded.legacy_hash, legacy_alias = excluded.legacy_alias, migrated = excluded.migrated,
     self_service = self_service * excluded.self_service, owned_until = excluded.owned_until,
     overlap_until = excluded.overlap_until`,
  );
  return (record) => {
    const { keyId, family, owner, role, issuedAt, expiresAt } = record;
    const identity = [keyId, family, owner ?? null, role, issuedAt, expiresAt] as const;
    upsert.run(...identity, ...stateOf(record));
    noteDate(record);
  };
}

/** The columns that a change of a key can change. */
function stateOf(record: KeyRecord) {
  return [
    encodeRecord(record),
    endedFlag(record),
    record.version,
    record.legacy?.hash ?? null,
    aliasOf(record),
    record.legacy?.migratedAt === undefined ? 0 : 1,
    countsAsSelfService(record) ? 1 : 0,
    ...ownerCountsOf(record),
  ] as const;
}

/** The columns `owned_until` and `overlap_until`. */
function ownerCountsOf(record: KeyRecord): readonly [owned: number | null, overlap: number | null] {
  const count = ownerCountOf(record);
  if (count === undefined) return [null, null];
  return count.as === "active" ? [count.until, null] : [null, count.until];
}

/** Stores the newest issue date, which a cut-off of now must exceed. */
function createDateWriter(sqlite: DatabaseSync): (record: KeyRecord) => void {
  const date = sqlite.prepare(
    `INSERT INTO shared_state (name, value) VALUES (?, ?)
     ON CONFLICT (name) DO UPDATE SET value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER))`,
  );
  const cutOff = sqlite.prepare(
    "SELECT 1 FROM cut_offs WHERE scope = 'owner' AND subject = ? AND before >= ?",
  );
  return (record) => {
    date.run("newest_date", String(record.issuedAt));
    if (cutOff.get(ownerOf(record), record.issuedAt) === undefined)
      date.run("newest_uncut_date", String(record.issuedAt));
  };
}

/** A key that was imported by its SHA-256 has only a hash. As its own alias, it conflicts with the same key's alias. */
function aliasOf({ legacy }: KeyRecord): string | null {
  return legacy?.alias ?? legacy?.hash ?? null;
}

/** Whether a revocation view must know the record. */
function endedFlag(record: KeyRecord): 0 | 1 {
  return record.disabled || record.revokedAt !== undefined || record.successor !== undefined ? 1 : 0;
}
