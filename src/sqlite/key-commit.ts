import type { DatabaseSync } from "node:sqlite";
import type { AuditEvent } from "../core/audit/audit-event.ts";
import type { CommitOutcome, KeyChange, RememberedCall } from "../core/keys/key-change.ts";
import { DECIDED_WITHIN_SECONDS } from "../core/keys/key-change.ts";
import type { KeyWriter } from "../core/keys/ports.ts";
import { commitBelowCap } from "../core/keys/self-service-cap.ts";
import type { MigrationState, MigrationStep } from "../core/legacy/migration.ts";
import { encodeFeedEntry } from "../core/revocation/feed-entry.ts";
import { createBeyondIssued, createRequirements } from "./commit-requirements.ts";
import { createEndWriter } from "./ends.ts";
import { createOverrideWriter } from "./overrides.ts";
import { createRecordWriter } from "./record-writer.ts";
import { inTransaction, TransactionAborted } from "./transaction.ts";

/** The only write of the registry: checks the requirements of a change and writes all of it, in one transaction. */
export function createCommit(
  sqlite: DatabaseSync,
  release: (limit: number) => number,
  nowMs: () => number,
): KeyWriter["commit"] {
  const requireThat = createRequirements(sqlite);
  const requireBeyondIssued = createBeyondIssued(sqlite, nowMs);
  const writeRecord = createRecordWriter(sqlite);
  const writeEnd = createEndWriter(sqlite);
  const writeOverride = createOverrideWriter(sqlite);
  const rememberCall = createCallWriter(sqlite);
  const audit = sqlite.prepare("INSERT INTO audit (at_ms, event) VALUES (?, ?)");
  const writePhase = createPhaseWriter(sqlite);
  const writeAudit = (event: AuditEvent) => audit.run(event.atMs, JSON.stringify(event));
  const attempt = (change: KeyChange): CommitOutcome => {
    try {
      return inTransaction(sqlite, () => {
        const storeMs = nowMs();
        if (Math.abs(change.nowSeconds - Math.floor(storeMs / 1000)) > DECIDED_WITHIN_SECONDS)
          throw new TransactionAborted({ kind: "clock", nowMs: Math.floor(storeMs) });
        if (change.requires?.beyondIssued && change.end?.kind === "cutoff") requireBeyondIssued(change.end);
        if (change.requires !== undefined) requireThat(change.requires, change.nowSeconds);
        for (const record of change.put) writeRecord(record);
        if (change.remember !== undefined) rememberCall(change.remember, change.nowSeconds);
        if (change.end !== undefined) writeEnd(change.end);
        const overrideVersion = change.override && writeOverride(change.override, storeMs);
        if (change.migration !== undefined) writePhase(change.migration);
        for (const event of change.audit) writeAudit(event);
        return { kind: "committed", ...(overrideVersion !== undefined && { overrideVersion }) };
      });
    } catch (error) {
      if (error instanceof TransactionAborted) return error.outcome;
      throw error;
    }
  };
  return (change) => commitBelowCap(() => attempt(change), release);
}

function createPhaseWriter(sqlite: DatabaseSync): (step: MigrationStep) => void {
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

function createCallWriter(sqlite: DatabaseSync): (call: RememberedCall, nowSeconds: number) => void {
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
