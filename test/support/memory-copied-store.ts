import { copiedEventId } from "../../src/core/copy/copied-event.ts";
import type { AuditRow, CopiedRows, CopiedStore, RowStore, StoreDates } from "../../src/core/copy/ports.ts";

/** Small, so that a few rows take several pages. */
const PAGE_ROWS = 2;

type RowsOf<Store> = Store extends RowStore<infer Row> ? readonly Row[] : never;
type Given = { readonly [Name in Exclude<keyof CopiedRows, "audit">]?: RowsOf<CopiedRows[Name]> };

/** What a store holds. */
export interface MemoryContents extends Given {
  readonly audit?: readonly AuditRow[];
  readonly id?: string | undefined;
  readonly nowMs?: number;
  readonly origins?: readonly string[];
  readonly instances?: readonly Readonly<Record<string, readonly string[]>>[];
  readonly dates?: StoreDates;
}

export interface MemoryRows<Row> extends RowStore<Row> {
  /** The stored rows by their id. */
  readonly stored: Map<string, Row>;
}

type MemoryTables = { readonly [Name in keyof Given]-?: MemoryRows<RowsOf<CopiedRows[Name]>[number]> };

/** A store in memory as a copy sees it. A test may replace the functions of a table. */
export interface MemoryStore extends CopiedStore {
  readonly tables: MemoryTables & { readonly audit: MemoryRows<AuditRow> };
  /** What `begin` was called with, and the ids of the rows of each later `put`. */
  readonly written: unknown[];
}

export function memoryStore(contents: MemoryContents = {}): MemoryStore {
  const { id, nowMs = 0, origins = [], instances = [] } = contents;
  const { dates = { forgotten: 0, newest: 0, newestUncut: 0 } } = contents;
  const written: unknown[] = [];
  const of = <Row>(idOf: (row: Row) => string, rows: readonly Row[] = []) => memoryRows(idOf, rows, written);
  const tables: MemoryStore["tables"] = {
    secrets: of(({ name }) => name, contents.secrets),
    phase: of(() => "phase", contents.phase),
    keys: of(({ record }) => record.keyId, contents.keys),
    endedKeys: of(({ keyId }) => keyId, contents.endedKeys),
    families: of(({ family }) => family, contents.families),
    cutOffs: of(({ scope, subject }) => `${scope} ${subject}`, contents.cutOffs),
    overrides: of(({ scope, subject }) => `${scope} ${subject}`, contents.overrides),
    quotas: of(({ counterId }) => counterId, contents.quotas),
    usage: of(({ family, day }) => `${family} ${day.at}`, contents.usage),
    audit: of(copiedEventId, contents.audit),
  };
  return {
    tables,
    written,
    id: async () => id,
    nowMs: async () => nowMs,
    origins: async () => new Set(origins),
    instances: async () => instances.map((settings) => new Map(Object.entries(settings))),
    dates: async () => dates,
    async begin(source) {
      written.push(source);
    },
    confirm: async () => true,
    rows: { ...tables, audit: () => tables.audit },
    close: async () => undefined,
  };
}

function memoryRows<Row>(
  idOf: (row: Row) => string,
  rows: readonly Row[],
  written: unknown[],
): MemoryRows<Row> {
  const stored = new Map(rows.map((row) => [idOf(row), row]));
  return {
    stored,
    count: async () => stored.size,
    async *pages() {
      const all = [...stored.values()];
      for (let at = 0; at < all.length; at += PAGE_ROWS) yield all.slice(at, at + PAGE_ROWS);
    },
    find: async (sought) => sought.map((row) => stored.get(idOf(row))),
    async put(changes) {
      written.push(changes.map(({ row }) => idOf(row)));
      return changes.map(({ row, replaced }) => {
        if (stored.get(idOf(row)) !== replaced) return "changed";
        stored.set(idOf(row), row);
        return "written";
      });
    },
  };
}
