import type { AuditEvent } from "../audit/audit-event.ts";
import type { KeyChange, RememberedCall } from "./key-change.ts";
import type { KeyRecord } from "./key-record.ts";

/** What a store has acknowledged and may lose again. */
export interface AcknowledgedChange {
  readonly put: readonly KeyRecord[];
  readonly remember?: RememberedCall;
  readonly freeze?: NonNullable<KeyChange["freeze"]>;
  readonly audit: readonly AuditEvent[];
  /** Where the store keeps the last audit event. Absent: nothing was written, and the keys of `put` were handed out once more. */
  readonly auditCursor?: string;
}

/** The changes that a store whose replicas follow later may still lose. */
export interface ChangeMemory {
  add(change: AcknowledgedChange): void;
  size(): number;
  /** Oldest first, without those that the store may have removed itself. */
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

export function createChangeMemory({ monotonicMs, maxRecords, maxAgeMs }: ChangeMemoryOptions): ChangeMemory {
  const queue = createQueue();
  let early = { count: 0, lastMs: 0 };
  const forgetAged = () => queue.forgetUntil(monotonicMs() - maxAgeMs);
  const add = (change: AcknowledgedChange) => {
    forgetAged();
    queue.push(change, monotonicMs());
    while (queue.records() > maxRecords)
      early = { count: early.count + 1, lastMs: queue.forgetOldest() ?? early.lastMs };
  };
  return {
    add,
    size: () => queue.entries.size,
    all() {
      forgetAged();
      return [...queue.entries.keys()];
    },
    renew(change, entered) {
      queue.forget(change);
      add(entered);
    },
    onReplicated(untilMs) {
      const safeMs = Math.min(untilMs, monotonicMs() - KEPT_MS);
      queue.forgetUntil(safeMs);
      if (early.lastMs <= safeMs) early = { count: 0, lastMs: 0 };
    },
    takeForgottenEarly() {
      const { count } = early;
      early = { count: 0, lastMs: 0 };
      return count;
    },
  };
}

/** Changes with the monotonic time at which each was added, oldest first. */
function createQueue() {
  const entries = new Map<AcknowledgedChange, number>();
  /** By key id. A key that is handed out again and again takes one place. */
  const handedOut = new Map<string, AcknowledgedChange>();
  let records = 0;
  const forget = (change: AcknowledgedChange) => {
    if (!entries.delete(change)) return;
    records -= weightOf(change);
    const keyId = handedOutId(change);
    if (keyId !== undefined) handedOut.delete(keyId);
  };
  return {
    entries,
    records: () => records,
    forget,
    push(change: AcknowledgedChange, atMs: number) {
      const keyId = handedOutId(change);
      const earlier = keyId === undefined ? undefined : handedOut.get(keyId);
      if (earlier !== undefined) forget(earlier);
      entries.set(change, atMs);
      records += weightOf(change);
      if (keyId !== undefined) handedOut.set(keyId, change);
    },
    forgetUntil(untilMs: number) {
      for (const [change, atMs] of entries) {
        if (atMs > untilMs) break;
        forget(change);
      }
    },
    /** Returns when that change was added; undefined if nothing is remembered. */
    forgetOldest(): number | undefined {
      for (const [change, atMs] of entries) {
        forget(change);
        return atMs;
      }
      return undefined;
    },
  };
}

function handedOutId({ auditCursor, put }: AcknowledgedChange): string | undefined {
  return auditCursor === undefined ? put[0]?.keyId : undefined;
}

function weightOf({ put }: AcknowledgedChange): number {
  return Math.max(1, put.length);
}
