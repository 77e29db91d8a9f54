import type { DatabaseSync } from "node:sqlite";
import type { UsageTotals } from "../core/usage/usage-amount.ts";
import { noUsage } from "../core/usage/usage-amount.ts";
import { dayOfHour } from "../core/usage/usage-time.ts";
import { text } from "./rows.ts";
import { encodeUsage, usageFrom } from "./usage-row.ts";

/** The pages that a row takes beside its text, with its share of the indexes. */
const ROW_BYTES = 90;

/** Changes the rows of usage, and the estimate of their bytes. */
export interface UsageWriter {
  /** Lists a family that has usage on this day. */
  list(family: string, owner: string, day: number): void;
  /** @param change may change the totals that it gets */
  change(of: "hour" | "day", family: string, at: number, change: (stored: UsageTotals) => void): void;
}

export function createUsageWriter(sqlite: DatabaseSync): UsageWriter {
  const list = sqlite.prepare(
    `INSERT INTO usage_families (family, owner, last_day) VALUES (?, ?, ?)
     ON CONFLICT DO UPDATE SET owner = excluded.owner, last_day = max(last_day, excluded.last_day)`,
  );
  const addBytes = sqlite.prepare(
    "INSERT INTO usage_bytes (kind, day, bytes) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes",
  );
  const tables = { hour: rowsOf(sqlite, "usage_hours"), day: rowsOf(sqlite, "usage_days") };
  return {
    list: (family, owner, day) => void list.run(family, owner, day),
    change(of, family, at, change) {
      const { find, put } = tables[of];
      const row = find.get(family, at);
      const usage = row === undefined ? noUsage() : usageFrom(row);
      change(usage);
      const encoded = encodeUsage(usage);
      put.run(family, at, encoded);
      const before = row === undefined ? -ROW_BYTES - 3 * family.length : text(row, "usage").length;
      const [kind, day] = of === "hour" ? ["h", dayOfHour(at)] : ["d", at];
      addBytes.run(kind, day, encoded.length - before);
    },
  };
}

function rowsOf(sqlite: DatabaseSync, table: "usage_hours" | "usage_days") {
  return {
    find: sqlite.prepare(`SELECT at, usage FROM ${table} WHERE family = ? AND at = ?`),
    put: sqlite.prepare(
      `INSERT INTO ${table} (family, at, usage) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET usage = excluded.usage`,
    ),
  };
}
