import type { AuditEvent } from "../audit/audit-event.ts";
import type { RememberedCall } from "./key-change.ts";
import type { KeyRecord } from "./key-record.ts";

/** What a store has acknowledged and may lose again. */
export interface AcknowledgedChange {
  readonly put: readonly KeyRecord[];
  readonly remember?: RememberedCall;
  readonly audit: readonly AuditEvent[];
  /** Where the store keeps the last audit event. Absent: nothing was written, and the keys of `put` were handed out once more. */
  readonly auditCursor?: string;
}

/** The changes that a store whose replicas follow later may still lose. */
export interface ChangeMemory {
  add(change: AcknowledgedChange): void;
  size(): number;
  /** Oldest first. */
  all(): readonly AcknowledgedChange[];
  /** The store has the change again, and may lose it again: from now on it counts as a new one. */
  renew(change: AcknowledgedChange, entered: AcknowledgedChange): void;
  /** All changes before this monotonic time are on a replica. Forgets those of them that are older than 60 s. */
  onReplicated(untilMs: number): void;
  /** The number of changes that were forgotten too early since the last call, because there were too many. */
  takeForgottenEarly(): number;
}

/** A replica that is promoted is rarely further behind. */
const KEPT_MS = 60_000;

export interface ChangeMemoryOptions {
  readonly monotonicMs: () => number;
  /** The limit of records. A change without a record counts as one. */
  readonly maxRecords: number;
  /** Older changes are forgotten, whether a replica has them or not: the store may have removed their audit events. */
  readonly maxAgeMs: number;
}

interface Entry {
  readonly change: AcknowledgedChange;
  readonly atMs: number;
}

export function createChangeMemory({ monotonicMs, maxRecords, maxAgeMs }: ChangeMemoryOptions): ChangeMemory {
  const entries = new Map<AcknowledgedChange, Entry>();
  let records = 0;
  let early: { readonly count: number; readonly lastMs: number } = { count: 0, lastMs: 0 };
  const forget = (entry: Entry) => {
    if (entries.delete(entry.change)) records -= weightOf(entry.change);
  };
  const forgetUntil = (untilMs: number) => {
    for (const entry of entries.values()) {
      if (entry.atMs > untilMs) break;
      forget(entry);
    }
  };
  const add = (change: AcknowledgedChange) => {
    forgetUntil(monotonicMs() - maxAgeMs);
    entries.set(change, { change, atMs: monotonicMs() });
    records += weightOf(change);
    for (const entry of entries.values()) {
      if (records <= maxRecords) break;
      forget(entry);
      early = { count: early.count + 1, lastMs: entry.atMs };
    }
  };
  return {
    add,
    size: () => entries.size,
    all: () => [...entries.keys()],
    renew(change, entered) {
      const known = entries.get(change);
      if (known !== undefined) forget(known);
      add(entered);
    },
    onReplicated(untilMs) {
      const safeMs = Math.min(untilMs, monotonicMs() - KEPT_MS);
      forgetUntil(safeMs);
      if (early.lastMs <= safeMs) early = { count: 0, lastMs: 0 };
    },
    takeForgottenEarly() {
      const { count } = early;
      early = { count: 0, lastMs: 0 };
      return count;
    },
  };
}

function weightOf({ put }: AcknowledgedChange): number {
  return Math.max(1, put.length);
}
