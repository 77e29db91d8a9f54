import type { DatabaseSync } from "node:sqlite";
import type { RowStore, UsageRow } from "../core/copy/ports.ts";
import { PAGE } from "../core/copy/ports.ts";
import { HOURS_PER_DAY } from "../core/usage/usage-time.ts";
import type { Row } from "./rows.ts";
import { text } from "./rows.ts";
import { inTransaction } from "./transaction.ts";
import { usageFrom } from "./usage-row.ts";
import { createUsageWriter } from "./usage-writer.ts";

export function createUsageRows(sqlite: DatabaseSync): RowStore<UsageRow> {
  const all = sqlite.prepare("SELECT count(*) AS rows FROM usage_days");
  const days = "SELECT family, owner, at, usage FROM usage_days LEFT JOIN usage_families USING (family)";
  const after = sqlite.prepare(`${days} WHERE (family, at) > (?, ?) ORDER BY family, at LIMIT ?`);
  const byId = sqlite.prepare(`${days} WHERE family = ? AND at = ?`);
  const hours = sqlite.prepare(
    "SELECT at, usage FROM usage_hours WHERE family = ? AND at >= ? AND at < ? ORDER BY at",
  );
  const toRow = (row: Row): UsageRow => {
    const [family, day, owner] = [text(row, "family"), usageFrom(row), row["owner"]];
    const [from, to] = [day.at * HOURS_PER_DAY, (day.at + 1) * HOURS_PER_DAY];
    return {
      family,
      owner: typeof owner === "string" ? owner : undefined,
      day,
      hours: hours.all(family, from, to).map(usageFrom),
    };
  };
  const writer = createUsageWriter(sqlite);
  return {
    count: async () => Number(all.get()?.["rows"]),
    async *pages() {
      let last: UsageRow | undefined;
      for (;;) {
        const page = after.all(last?.family ?? "", last?.day.at ?? 0, PAGE).map(toRow);
        last = page.at(-1);
        if (last === undefined) return;
        yield page;
      }
    },
    find: async (rows) =>
      rows.map(({ family, day }) => {
        const row = byId.get(family, day.at);
        return row && toRow(row);
      }),
    async put(changes) {
      inTransaction(sqlite, () => {
        // No other process uses the database, so the merged row replaces the stored one.
        for (const { row } of changes) {
          writer.list(row.family, row.owner ?? row.family, row.day.at);
          writer.change("day", row.family, row.day.at, (stored) => Object.assign(stored, row.day));
          for (const hour of row.hours)
            writer.change("hour", row.family, hour.at, (stored) => Object.assign(stored, hour));
        }
      });
      return changes.map(() => "written");
    },
  };
}
