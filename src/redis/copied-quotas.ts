import type { QuotaRow, RowStore } from "../core/copy/ports.ts";
import { quotaEndSeconds, quotaRow } from "../core/copy/quota-row.ts";
import { counterIdOf, QUOTA_PATTERN } from "./copied-names.ts";
import { counterFrom } from "./quota-admin.ts";
import { pairs } from "./replies.ts";
import { scriptText } from "./script-text.ts";
import type { SpreadClient } from "./spread-client.ts";

const SOURCE = scriptText("copy-quota");

/** A copy finds counters by a scan, because no index lists them. */
export function createQuotaRows(spread: SpreadClient): RowStore<QuotaRow> {
  const { keys } = spread;
  const run = spread.script(SOURCE, "copy-quota");
  const load = async (counterId: string) => {
    const name = keys.quota(counterId);
    return quotaRow(counterId, counterFrom(pairs(await spread.commandAt(name, "HGETALL", name))));
  };
  return {
    count: async () => undefined,
    async *pages() {
      for await (const names of spread.scan(QUOTA_PATTERN)) {
        const counterIds = names.map((name) => counterIdOf(keys, name)).filter((id) => id !== undefined);
        const rows = await Promise.all(counterIds.map(load));
        yield rows.filter((row) => row !== undefined);
      }
    },
    find: (rows) => Promise.all(rows.map(({ counterId }) => load(counterId))),
    put: (changes) =>
      Promise.all(
        changes.map(async ({ row }) => {
          await run([keys.quota(row.counterId)], [row.windowMs, row.used, quotaEndSeconds(row), row.limit]);
          return "written" as const;
        }),
      ),
  };
}
