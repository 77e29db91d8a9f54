import type { HeaderField } from "./hpack-tables.ts";

/** What a field counts in the table beyond its name and value (RFC 7541, section 4.1). */
const FIELD_OVERHEAD_BYTES = 32;

/** The dynamic table of RFC 7541, section 2.3.2: a ring, in which the newest field has the lowest index. */
export interface DynamicTable {
  /** The maximum that the peer has set, with a table size update. */
  limitBytes: number;
  tableBytes: number;
  /** Its length is a power of two. A place without a field is undefined. */
  readonly ring: (HeaderField | undefined)[];
  newest: number;
  count: number;
}

export function createDynamicTable(maxBytes: number): DynamicTable {
  const maxFields = Math.max(1, Math.floor(maxBytes / FIELD_OVERHEAD_BYTES));
  const ring = new Array<undefined>(2 ** Math.ceil(Math.log2(maxFields))).fill(undefined);
  return { limitBytes: maxBytes, tableBytes: 0, ring, newest: 0, count: 0 };
}

/** A field that is larger than the table empties it, which is not an error (section 4.4). */
export function insertField(table: DynamicTable, field: HeaderField): void {
  const bytes = bytesOf(field);
  evictTo(table, Math.max(0, table.limitBytes - bytes));
  if (bytes > table.limitBytes) return;
  table.newest = (table.newest + 1) & (table.ring.length - 1);
  table.ring[table.newest] = field;
  table.tableBytes += bytes;
  table.count++;
}

/** Evicts the oldest fields. Clears their places, so that no secret outlives its field. */
export function evictTo(table: DynamicTable, bytes: number): void {
  const { ring } = table;
  while (table.tableBytes > bytes) {
    const oldest = (table.newest - --table.count) & (ring.length - 1);
    const field = ring[oldest];
    if (field !== undefined) table.tableBytes -= bytesOf(field);
    ring[oldest] = undefined;
  }
}

function bytesOf(field: HeaderField): number {
  return field.name.length + field.value.length + FIELD_OVERHEAD_BYTES;
}
