import type { DatabaseSync } from "node:sqlite";
import type { AuditEvent } from "../core/audit/audit-event.ts";
import { ownerOf } from "../core/decision/principal.ts";
import type { KeyRecord } from "../core/keys/key-record.ts";
import { countsAsSelfService, NEVER } from "../core/keys/key-record.ts";
import { encodeRecord } from "../core/keys/key-record-codec.ts";
import type {
  CommitOutcome,
  CommitRequirement,
  KeyChange,
  KeyStore,
  RememberedCall,
} from "../core/keys/ports.ts";
import { DECIDED_WITHIN_SECONDS } from "../core/keys/ports.ts";
import { commitBelowCap } from "../core/keys/self-service-cap.ts";
import type { MigrationState, MigrationStep } from "../core/legacy/migration.ts";
import { encodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { CutOff } from "../core/revocation/revocation.ts";
import { integer } from "./rows.ts";
import { inTransaction } from "./transaction.ts";

/** Thrown inside a transaction to undo it; never leaves the room. */
export class TransactionAborted extends Error {
  readonly outcome: CommitOutcome;
  constructor(outcome: CommitOutcome) {
    super(outcome.kind);
    this.outcome = outcome;
  }
}

/** The registry's one write: checks what the change requires and writes all of it, in one transaction. */
export function createCommit(
  sqlite: DatabaseSync,
  release: (limit: number) => number,
  nowMs: () => number,
): KeyStore["commit"] {
  const requireThat = createRequirements(sqlite);
  const requireBeyond = createBeyond(sqlite, nowMs);
  const putRecord = createPut(sqlite);
  const endWrites = createEnd(sqlite);
  const rememberCall = createRemember(sqlite);
  const audit = sqlite.prepare("INSERT INTO audit (at_ms, event) VALUES (?, ?)");
  const stepPhase = createStep(sqlite);
  const writeAudit = (event: AuditEvent) => audit.run(event.atMs, JSON.stringify(event));
  const attempt = (change: KeyChange): CommitOutcome => {
    try {
      return inTransaction(sqlite, () => {
        const storeMs = nowMs();
        if (Math.abs(change.nowSeconds - Math.floor(storeMs / 1000)) > DECIDED_WITHIN_SECONDS)
          throw new TransactionAborted({ kind: "clock", nowMs: Math.floor(storeMs) });
        if (change.requires?.beyondIssued && change.end?.kind === "cutoff") requireBeyond(change.end);
        if (change.requires !== undefined) requireThat(change.requires, change.nowSeconds);
        for (const record of change.put) putRecord(record);
        if (change.remember !== undefined) rememberCall(change.remember, change.nowSeconds);
        if (change.end !== undefined) endWrites(change.end);
        if (change.migration !== undefined) stepPhase(change.migration);
        for (const event of change.audit) writeAudit(event);
        return { kind: "committed" };
      });
    } catch (error) {
      if (error instanceof TransactionAborted) return error.outcome;
      throw error;
    }
  };
  return (change) => commitBelowCap(() => attempt(change), release);
}

type Run<T> = (value: T, nowSeconds: number) => void;

function createRequirements(sqlite: DatabaseSync): Run<CommitRequirement> {
  const familyEnd = sqlite.prepare("SELECT 1 FROM ended_families WHERE family = ?");
  const cutOff = sqlite.prepare(
    `SELECT max(before) AS before FROM cut_offs
     WHERE (scope = 'all' OR (scope = 'role' AND subject = ?) OR (scope = 'owner' AND subject = ?)) AND before > ?`,
  );
  const live = sqlite.prepare(
    "SELECT count(*) AS live FROM keys WHERE self_service = 1 AND expires_at > ? AND expires_at <= ?",
  );
  return ({ living, selfServiceBelow, legacyEnded }, nowSeconds) => {
    if (living !== undefined) {
      if (familyEnd.get(living.family) !== undefined) throw new TransactionAborted({ kind: "ended" });
      const before = cutOff.get(living.role, ownerOf(living), living.issuedAt)?.["before"];
      if (typeof before === "number") throw new TransactionAborted({ kind: "ended", before });
    }
    if (selfServiceBelow === undefined) return;
    const row = live.get(nowSeconds, legacyEnded ? NEVER - 1 : NEVER);
    if (row === undefined || integer(row, "live") >= selfServiceBelow)
      throw new TransactionAborted({ kind: "full" });
  };
}

/** Throws {@link TransactionAborted} where the cut-off does not lie beyond all dates that were given out. */
function createBeyond(sqlite: DatabaseSync, nowMs: () => number): (cutOff: CutOff) => void {
  const stored = sqlite.prepare("SELECT before FROM cut_offs WHERE scope = ? AND subject = ?");
  const newest = sqlite.prepare("SELECT value FROM shared_state WHERE name = ?");
  return ({ scope, subject, before }) => {
    // Other owners' new keys, dated by their own cut-offs, do not push this owner's ahead.
    const name = scope === "owner" ? "newest_uncut_date" : "newest_date";
    const dates = [stored.get(scope, subject)?.["before"], newest.get(name)?.["value"]];
    const known = dates.map((date) => Number(date ?? 0));
    const least = Math.max(Math.floor(nowMs() / 1000), ...known) + 1;
    if (before < least) throw new TransactionAborted({ kind: "early", before: least });
  };
}

/** Notes the date of a new key. */
function createDate(sqlite: DatabaseSync): (record: KeyRecord) => void {
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

/** Writes a record, or throws {@link TransactionAborted}. */
export function createPut(sqlite: DatabaseSync): (record: KeyRecord) => void {
  const noteDate = createDate(sqlite);
  const insert = sqlite.prepare(
    `INSERT INTO keys (key_id, family, owner, role, issued_at, expires_at, self_service, ended, version, record, legacy_hash, legacy_alias)
     VALUES (?, ?, ?, ?, ?, ?, ?, 0, 1, ?, ?, ?) ON CONFLICT DO NOTHING`,
  );
  const update = sqlite.prepare(
    `UPDATE keys SET record = ?, ended = ?, version = ?, legacy_hash = ?, legacy_alias = ?, migrated = ?,
     self_service = self_service * ?
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
          )
        : update.run(
            text,
            endedFlag(record),
            version,
            record.legacy?.hash ?? null,
            aliasOf(record),
            record.legacy?.migratedAt === undefined ? 0 : 1,
            countsAsSelfService(record) ? 1 : 0,
            keyId,
            version - 1,
          );
    if (written.changes === 0) throw new TransactionAborted({ kind: "conflict" });
    if (version === 1) noteDate(record);
  };
}

/** Where only a SHA-256 was imported, its hash is both: it must not pass where another key has it as its alias. */
function aliasOf({ legacy }: KeyRecord): string | null {
  return legacy?.alias ?? legacy?.hash ?? null;
}

/** Whether a revocation view must know of the record. */
function endedFlag(record: KeyRecord): 0 | 1 {
  return record.disabled || record.revokedAt !== undefined || record.successor !== undefined ? 1 : 0;
}

function createStep(sqlite: DatabaseSync): (step: MigrationStep) => void {
  const get = sqlite.prepare("SELECT value FROM shared_state WHERE name = 'migration'");
  const set = sqlite.prepare(
    "INSERT INTO shared_state (name, value) VALUES ('migration', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
  );
  const textOf = (state: MigrationState) => encodeFeedEntry({ kind: "phase", state });
  return ({ from, to }) => {
    if (get.get()?.["value"] !== (from && textOf(from))) throw new TransactionAborted({ kind: "conflict" });
    set.run(textOf(to));
  };
}

function createRemember(sqlite: DatabaseSync): Run<RememberedCall> {
  const forget = sqlite.prepare("DELETE FROM remembered_calls WHERE id = ? AND until <= ?");
  const insert = sqlite.prepare(
    "INSERT INTO remembered_calls (id, body_digest, key_id, until) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
  );
  return ({ id, bodyDigest, keyId, until }, nowSeconds) => {
    forget.run(id, nowSeconds);
    if (insert.run(id, bodyDigest, keyId, until).changes === 0)
      throw new TransactionAborted({ kind: "conflict" });
  };
}

export function createFindEnd(sqlite: DatabaseSync, nowMs: () => number): KeyStore["findEnd"] {
  const family = sqlite.prepare("SELECT until FROM ended_families WHERE family = ?");
  const cutOff = sqlite.prepare(
    `SELECT before, until, (SELECT CAST(value AS INTEGER) FROM shared_state WHERE name = 'newest_date') AS newest
     FROM cut_offs WHERE scope = ? AND subject = ?`,
  );
  return async (of) => {
    if (of.kind === "family") {
      const row = family.get(of.family);
      return row && { end: { ...of, until: integer(row, "until") }, isBeyondIssued: true };
    }
    const row = cutOff.get(of.scope, of.subject);
    if (row === undefined) return undefined;
    const before = integer(row, "before");
    const { newest } = row;
    return {
      end: { ...of, before, until: integer(row, "until") },
      // The store does not know all dates: other issuers give theirs, and a failover may have lost some.
      isBeyondIssued: typeof newest === "number" && Math.max(newest, Math.floor(nowMs() / 1000)) < before,
    };
  };
}

function createEnd(sqlite: DatabaseSync): (end: NonNullable<KeyChange["end"]>) => void {
  const family = sqlite.prepare(
    "INSERT INTO ended_families (family, until) VALUES (?, ?) ON CONFLICT (family) DO UPDATE SET until = max(until, excluded.until)",
  );
  const cutOff = sqlite.prepare(
    `INSERT INTO cut_offs (scope, subject, before, until) VALUES (?, ?, ?, ?)
     ON CONFLICT (scope, subject) DO UPDATE SET before = max(before, excluded.before), until = max(until, excluded.until)`,
  );
  const key = sqlite.prepare(
    `INSERT INTO ended_keys (key_id, standing, until) VALUES (?, ?, ?)
     ON CONFLICT (key_id) DO UPDATE SET standing = excluded.standing, until = max(until, excluded.until)`,
  );
  return (end) => {
    if (end.kind === "family") family.run(end.family, end.until);
    else if (end.kind === "key") key.run(end.keyId, encodeFeedEntry(end), end.expiresAt);
    else cutOff.run(end.scope, end.subject, end.before, end.until);
  };
}
