import type { DatabaseSync } from "node:sqlite";
import type { QuotaRow, RowStore } from "../core/copy/ports.ts";
import { PAGE } from "../core/copy/ports.ts";
import { quotaEndSeconds, quotaRow } from "../core/copy/quota-row.ts";
import { counterOf, createCounterTable } from "./quota-store.ts";
import { text } from "./rows.ts";
import { inTransaction } from "./transaction.ts";

export function createQuotaRows(sqlite: DatabaseSync): RowStore<QuotaRow> {
  const counters = createCounterTable(sqlite, Date.now);
  const all = sqlite.prepare("SELECT count(*) AS rows FROM quotas");
  const after = sqlite.prepare("SELECT * FROM quotas WHERE counter_id > ? ORDER BY counter_id LIMIT ?");
  return {
    count: async () => Number(all.get()?.["rows"]),
    async *pages() {
      let last = "";
      for (;;) {
        const page = after.all(last, PAGE);
        const end = page.at(-1);
        if (end === undefined) return;
        yield page
          .map((row) => quotaRow(text(row, "counter_id"), counterOf(row)))
          .filter((row) => row !== undefined);
        last = text(end, "counter_id");
      }
    },
    async find(rows) {
      const counterIds = rows.map(({ counterId }) => counterId);
      return counters.read(counterIds).map((counter, at) => quotaRow(counterIds[at] ?? "", counter));
    },
    async put(changes) {
      inTransaction(sqlite, () => {
        for (const { row } of changes) counters.raise(row.counterId, row, quotaEndSeconds(row));
      });
      return changes.map(() => "written");
    },
  };
}
