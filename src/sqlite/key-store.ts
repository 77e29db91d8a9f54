import type { DatabaseSync } from "node:sqlite";
import type { KeyRecord } from "../core/keys/key-record.ts";
import type { KeyPage, KeyStore } from "../core/keys/ports.ts";
import type { Database } from "./database.ts";
import { createCommit, createFindEnd } from "./key-commit.ts";
import { createLegacy } from "./legacy.ts";
import { allRevocations, createRevocationReader } from "./revocation-reader.ts";
import type { Row } from "./rows.ts";
import { integer, recordOf, text } from "./rows.ts";
import { createRelease } from "./self-service.ts";
import { inTransaction } from "./transaction.ts";

export interface KeyStoreOptions {
  /** How long a record stays after its key's end, so that "expired" can be told from "unknown". */
  readonly recordRetentionSeconds: number;
  /** The store's clock, milliseconds: it dates changes, and judges what may be forgotten. */
  readonly nowMs: () => number;
}

/**
 * The registry in SQLite. Its calls are synchronous under the hood, so an instance has them made in a thread of their own
 * (threaded-store.ts); there they wait for each other, so each one but the count, which walks an index, touches a bounded
 * number of rows.
 */
export function createKeyStore({ sqlite }: Database, options: KeyStoreOptions): KeyStore {
  const revocations = createRevocationReader(sqlite);
  const unexpired = sqlite.prepare("SELECT count(*) AS keys FROM keys WHERE expires_at > ?");
  const selfService = sqlite.prepare(
    "SELECT count(*) AS keys FROM keys WHERE self_service = 1 AND expires_at > ?",
  );
  const sweep = createSweep(sqlite);
  const release = createRelease(sqlite);
  const counted = (row: Row | undefined) => (row === undefined ? 0 : integer(row, "keys"));
  return {
    commit: createCommit(sqlite, release, options.nowMs),
    // Each transaction is on the disk before it is acknowledged.
    confirm: async () => true,
    findEnd: createFindEnd(sqlite, options.nowMs),
    ...createReads(sqlite),
    ...createUse(sqlite),
    ...createLegacy(sqlite),
    revocations: () => allRevocations(revocations),
    async count(nowSeconds) {
      return {
        unexpired: counted(unexpired.get(nowSeconds)),
        selfService: counted(selfService.get(nowSeconds)),
      };
    },
    async sweep(beforeSeconds, limit) {
      const openAt = Math.floor(options.nowMs() / 1000);
      const before = Math.min(beforeSeconds, openAt);
      const swept = inTransaction(sqlite, () => {
        sweep.noteOpen(openAt);
        return sweep.forget(before, before - options.recordRetentionSeconds, limit);
      });
      release(limit);
      return swept;
    },
  };
}

function createReads(sqlite: DatabaseSync): Pick<KeyStore, "load" | "recall" | "page"> {
  const byId = sqlite.prepare("SELECT key_id, record FROM keys WHERE key_id = ?");
  const remembered = sqlite.prepare(
    "SELECT body_digest, key_id, until FROM remembered_calls WHERE id = ? AND until > ?",
  );
  const ofAll = sqlite.prepare("SELECT seq, key_id, record FROM keys WHERE seq > ? ORDER BY seq LIMIT ?");
  const ofOwner = sqlite.prepare(
    "SELECT seq, key_id, record FROM keys WHERE owner = ? AND seq > ? ORDER BY seq LIMIT ?",
  );
  return {
    async load(keyId) {
      const row = byId.get(keyId);
      return row && recordOf(row);
    },
    async recall(id, nowSeconds) {
      const row = remembered.get(id, nowSeconds);
      if (row === undefined) return undefined;
      return {
        id,
        bodyDigest: text(row, "body_digest"),
        keyId: text(row, "key_id"),
        until: integer(row, "until"),
      };
    },
    async page({ owner, cursor, limit }) {
      const after = parseCursor(cursor);
      if (after === undefined) return "cursor_unknown";
      const rows = owner === undefined ? ofAll.all(after, limit + 1) : ofOwner.all(owner, after, limit + 1);
      const entries = rows.map((row) => ({
        record: recordOf(row),
        cursor: integer(row, "seq").toString(36),
      }));
      return toPage(entries, limit);
    },
  };
}

function createUse(sqlite: DatabaseSync): Pick<KeyStore, "noteUse" | "lastUsed"> {
  const note = sqlite.prepare(
    "UPDATE keys SET last_used_at = ? WHERE key_id = ? AND coalesce(last_used_at, 0) < ?",
  );
  const read = sqlite.prepare(
    "SELECT key_id, last_used_at FROM keys WHERE key_id = ? AND last_used_at IS NOT NULL",
  );
  return {
    async noteUse(used) {
      inTransaction(sqlite, () => {
        for (const [keyId, usedAt] of used) note.run(usedAt, keyId, usedAt);
      });
    },
    async lastUsed(keyIds) {
      const rows = keyIds.map((keyId) => read.get(keyId)).filter((row) => row !== undefined);
      return new Map(rows.map((row) => [text(row, "key_id"), integer(row, "last_used_at")]));
    },
  };
}

/** The sequence number to go on after; undefined when it is no cursor of ours. */
function parseCursor(cursor = "0"): number | undefined {
  const seq = /^[0-9a-z]{1,10}$/.test(cursor) ? Number.parseInt(cursor, 36) : Number.NaN;
  return Number.isSafeInteger(seq) ? seq : undefined;
}

function toPage(
  entries: readonly { readonly record: KeyRecord; readonly cursor: string }[],
  limit: number,
): KeyPage {
  if (entries.length <= limit) return { entries };
  const kept = entries.slice(0, limit);
  const nextCursor = kept.at(-1)?.cursor;
  return { entries: kept, ...(nextCursor === undefined ? {} : { nextCursor }) };
}

/** Deletes at most so many rows of each table, by an index on their end. */
function createSweep(sqlite: DatabaseSync) {
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
  const over = (table: string, key: string) =>
    sqlite.prepare(
      `DELETE FROM ${table} WHERE ${key} IN (SELECT ${key.replace(/[()]/g, "")} FROM ${table} WHERE until <= ? LIMIT ?)`,
    );
  const tables = [
    over("remembered_calls", "id"),
    over("ended_families", "family"),
    over("ended_keys", "key_id"),
    over("cut_offs", "(scope, subject)"),
  ];
  return {
    /** Also, something is always written, so that a disk that takes nothing any more is noticed without a registration. */
    noteOpen: (nowSeconds: number) => void note.run(String(nowSeconds)),
    forget(before: number, endedBefore: number, limit: number): number {
      noteForgotten.run(String(before));
      for (const table of tables) table.run(before, limit);
      return Number(keys.run(endedBefore, limit).changes);
    },
  };
}
