import type { AuditEvent } from "../audit/audit-event.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import type { MigrationState } from "../legacy/migration.ts";
import type { StoredEntry } from "../revocation/instance-view.ts";
import type { UsageRecord } from "../usage/ports.ts";

/** The rows of one kind in one store. Every method rejects if the store is unavailable. */
export interface RowStore<Row> {
  /** The number of rows, for the progress; undefined if the store cannot count them cheaply. */
  count(): Promise<number | undefined>;
  /** Every row that exists during the whole iteration, in pages of at most {@link PAGE} rows. */
  pages(): AsyncIterable<readonly Row[]>;
  /** For each row, the stored row that has the same id. */
  find(rows: readonly Row[]): Promise<readonly (Row | undefined)[]>;
  put(changes: readonly RowChange<Row>[]): Promise<readonly PutOutcome[]>;
  /** Whether instances on this store use such a row. Otherwise it is neither copied nor compared. Absent: always. */
  readonly uses?: (row: Row) => boolean;
}

/** Rows of a page: bounds the memory of a copy. */
export const PAGE = 500;

export interface RowChange<Row> {
  readonly row: Row;
  /** The stored row that {@link RowStore.find} returned, which the new one replaces. */
  readonly replaced: Row | undefined;
}

/** `changed`: the stored row is no longer the replaced one. `conflict`: another key of the target has the hash of this V1 key. */
export type PutOutcome = "written" | "changed" | "conflict";

export interface KeyRow {
  readonly record: KeyRecord;
  /** The record as the store holds it. Absent for a row that no store holds yet. */
  readonly text?: string;
  /** NumericDate of the last use. */
  readonly usedAt?: number;
}

export interface PhaseRow {
  readonly state: MigrationState;
  /** The id of the source store. */
  readonly from: string;
  /** In the target: what the latest copy of this source's phase has brought. Absent in a row of the source: the phase as it is. */
  readonly copied?: CopiedPhase;
}

export interface CopiedPhase {
  /** The version in the source. */
  readonly sourceVersion: number;
  /** The version in the target, which may need a later one. */
  readonly version: number;
}

export interface SecretRow {
  readonly name: string;
  readonly value: string;
}

export interface AuditRow {
  readonly event: AuditEvent;
  /** Whether an audit log has the event already. */
  readonly isLogged: boolean;
  readonly origin: Origin;
}

/** Where an event was written first. */
export interface Origin {
  readonly store: string;
  /** The position in that store: `N` or `N-N`. */
  readonly cursor: string;
}

/** What a quota's counter has counted for one subject. */
export interface QuotaRow {
  /** As of `quota-demand.ts`. */
  readonly counterId: string;
  /** The start of the window, in milliseconds. */
  readonly windowMs: number;
  /** Whole units, with those of open leases: their holders may spend them. */
  readonly used: number;
  /** The limit of the last step, which only informs operators. 0: not known. It is neither compared nor counted. */
  readonly limit: number;
}

/** The usage of a family on one day. */
export interface UsageRow {
  readonly family: string;
  /** Undefined if the store does not list the family. */
  readonly owner: string | undefined;
  readonly day: UsageRecord;
  /** Those in which something was used, in their order. */
  readonly hours: readonly UsageRecord[];
}

/** Registers of a store that only grow (NumericDates). */
export interface StoreDates {
  /** Entries that ran out before this may have been removed. */
  readonly forgotten: number;
  /** The newest issue date of all keys. */
  readonly newest: number;
  /** The same, without the keys that the cut-off of their own owner dated ahead. */
  readonly newestUncut: number;
}

/** A store as a copy sees it. A new kind is one more member of `rows`, and one more entry in `kinds.ts`. */
export interface CopiedStore {
  /** Identifies the contents, not the server; undefined before the store's first write. */
  id(): Promise<string | undefined>;
  /** The store's clock. */
  nowMs(): Promise<number>;
  /** The ids of the stores from which this one has copies. */
  origins(): Promise<ReadonlySet<string>>;
  /** The digests of the settings of each running instance, by the name of the setting. */
  instances(): Promise<readonly ReadonlyMap<string, readonly string[]>[]>;
  dates(): Promise<StoreDates>;
  /** Prepares the store for a copy of another one, and never decreases a date. */
  begin(source: { readonly id: string; readonly dates: StoreDates }): Promise<void>;
  /** Whether everything that was written since `begin` is as durable as an acknowledged change of an instance. */
  confirm(): Promise<boolean>;
  readonly rows: CopiedRows;
  close(): Promise<void>;
}

/** A row that instances hold in their view. */
export type EntryOf<Kind extends StoredEntry["kind"]> = Extract<StoredEntry, { readonly kind: Kind }>;

export interface CopiedRows {
  readonly secrets: RowStore<SecretRow>;
  readonly phase: RowStore<PhaseRow>;
  readonly keys: RowStore<KeyRow>;
  /** Restrictions of keys that no record includes. */
  readonly endedKeys: RowStore<EntryOf<"key">>;
  readonly families: RowStore<EntryOf<"family">>;
  readonly cutOffs: RowStore<EntryOf<"cutoff">>;
  readonly overrides: RowStore<EntryOf<"override">>;
  readonly quotas: RowStore<QuotaRow>;
  readonly usage: RowStore<UsageRow>;
  /** For one pass: it remembers what it has read. */
  readonly audit: () => RowStore<AuditRow>;
}
