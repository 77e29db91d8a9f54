import type { KeyRecord } from "../core/keys/key-record.ts";
import { decodeRecord } from "../core/keys/key-record-codec.ts";

/** A row as node:sqlite returns it. */
export type Row = Readonly<Record<string, unknown>>;

/** A text column. Throws if it is missing, because only a damaged file can lack it. */
export function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw new Error(`column ${column} is damaged`);
  return value;
}

export function integer(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== "number") throw new Error(`column ${column} is damaged`);
  return value;
}

/** A record from its columns `key_id` and `record`. */
export function recordOf(row: Row): KeyRecord {
  return decodeRecord(text(row, "key_id"), text(row, "record"));
}
