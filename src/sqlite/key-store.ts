import type { DatabaseSync } from "node:sqlite";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { KeyRecord } from "../core/keys/key-record.ts";
import type {
  KeyListing,
  KeyPage,
  KeyReader,
  KeyStore,
  ListedKeys,
  RememberedCallReader,
} from "../core/keys/ports.ts";
import type { Database } from "./database.ts";
import { createEndReader } from "./ends.ts";
import { createFreeze } from "./freeze.ts";
import { createCommit } from "./key-commit.ts";
import { createLegacy } from "./legacy.ts";
import { createOverrideReader } from "./overrides.ts";
import { createOwnerKeyCount } from "./owner-keys.ts";
import type { Row } from "./rows.ts";
import { integer, recordOf, text } from "./rows.ts";
import { createRelease } from "./self-service.ts";
import { createSweep } from "./sweep.ts";
import { inTransaction } from "./transaction.ts";
import { allEntries, createViewReader } from "./view-reader.ts";

export interface KeyStoreOptions {
  /** How long a record stays after its key's end, so that an expired key is not reported as unknown. */
  readonly recordRetentionSeconds: number;
  /** The store's clock in milliseconds. It dates changes and determines what can be removed. */
  readonly nowMs: () => number;
}

/**
 * The registry in SQLite. Its calls are synchronous internally, so an instance runs them in a separate thread
 * (threaded-store.ts). There they wait for each other, so each call touches a bounded number of rows, and a sweep lets
 * others run in between. The exception is the count, which walks an index.
 */
export function createKeyStore({ sqlite }: Database, options: KeyStoreOptions): KeyStore {
  const viewReader = createViewReader(sqlite);
  const unexpired = sqlite.prepare("SELECT count(*) AS keys FROM keys WHERE expires_at > ?");
  const selfService = sqlite.prepare(
    "SELECT count(*) AS keys FROM keys WHERE self_service = 1 AND expires_at > ?",
  );
  const sweep = createSweep(sqlite);
  const release = createRelease(sqlite);
  const freeze = createFreeze(sqlite);
  const countOwned = createOwnerKeyCount(sqlite, "active");
  const counted = (row: Row | undefined) => (row === undefined ? 0 : integer(row, "keys"));
  return {
    commit: createCommit(sqlite, release, options.nowMs),
    // Each transaction is on disk before it is acknowledged.
    confirm: async () => true,
    ...createEndReader(sqlite, options.nowMs),
    ...createOverrideReader(sqlite),
    ...createReads(sqlite),
    ...createUse(sqlite),
    ...createLegacy(sqlite, options.nowMs),
    viewEntries: () => allEntries(viewReader),
    async count(nowSeconds) {
      return {
        unexpired: counted(unexpired.get(nowSeconds)),
        selfService: counted(selfService.get(nowSeconds)),
      };
    },
    countOwned: async (owner, nowSeconds, legacyEnded) => countOwned(owner, nowSeconds, legacyEnded),
    frozenUntil: async (nowSeconds) => freeze.until(nowSeconds),
    async sweep(beforeSeconds, limit) {
      const openAt = Math.floor(options.nowMs() / 1000);
      const before = Math.min(beforeSeconds, openAt);
      const swept = inTransaction(sqlite, () => {
        sweep.noteOpen(openAt);
        sweep.noteForgotten(before);
        return sweep.forgetKeys(before - options.recordRetentionSeconds, limit);
      });
      // Each charge adds an entry, so their number has no bound.
      while (inTransaction(sqlite, () => sweep.forgetEntries(before, limit))) await nextTurn();
      release(limit);
      return swept;
    },
  };
}

function createReads(sqlite: DatabaseSync): KeyReader & RememberedCallReader & KeyListing {
  const byId = sqlite.prepare("SELECT key_id, record FROM keys WHERE key_id = ?");
  const remembered = sqlite.prepare(
    "SELECT body_digest, key_id, until FROM remembered_calls WHERE id = ? AND until > ?",
  );
  const ofAll = sqlite.prepare("SELECT seq, key_id, record FROM keys WHERE seq > ? ORDER BY seq LIMIT ?");
  const ofOwner = sqlite.prepare(
    "SELECT seq, key_id, record FROM keys WHERE owner = ? AND seq > ? ORDER BY seq LIMIT ?",
  );
  const ofFamily = sqlite.prepare(
    "SELECT seq, key_id, record FROM keys WHERE family = ? AND seq > ? ORDER BY seq LIMIT ?",
  );
  const rowsOf = (of: ListedKeys | undefined, after: number, limit: number) => {
    if (of === undefined) return ofAll.all(after, limit);
    return "family" in of ? ofFamily.all(of.family, after, limit) : ofOwner.all(of.owner, after, limit);
  };
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
    async page({ of, cursor, limit }) {
      const after = parseCursor(cursor);
      if (after === undefined) return "cursor_unknown";
      const entries = rowsOf(of, after, limit + 1).map((row) => ({
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

/** The sequence number after which the listing continues; undefined for an invalid cursor. */
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
