import type { z } from "zod";
import { csvLine } from "../http/csv.ts";
import type { auditEvent } from "./audit-schemas.ts";

type Event = Readonly<z.output<typeof auditEvent>>;

const COLUMNS = [
  ...["time", "event", "outcome", "reason", "actor", "key_id", "family", "owner", "role", "plan"],
  ...["address", "request_id", "event_id", "cursor"],
] as const satisfies readonly (keyof Event)[];

/** The line of column names of CSV, without its end. */
export const AUDIT_CSV_HEAD = COLUMNS.join(",");

/** An event as a line of CSV (RFC 4180), without its end. */
export function auditCsvLine(event: Event): string {
  return csvLine(COLUMNS.map((column) => event[column] ?? ""));
}
