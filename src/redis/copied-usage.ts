import type { RowStore, UsageRow } from "../core/copy/ports.ts";
import type { UsageRecord, UsageStore } from "../core/usage/ports.ts";
import { OTHER_ROUTES } from "../core/usage/usage-amount.ts";
import { DAY_SECONDS, HOURS_PER_DAY, hourOfDay } from "../core/usage/usage-time.ts";
import { USAGE_DAY_PATTERN, usageDayOf } from "./copied-names.ts";
import { scriptText } from "./script-text.ts";
import { createUsageBytes } from "./usage-bytes.ts";
import type { UsageStoreOptions } from "./usage-options.ts";
import { createUsageReads } from "./usage-reads.ts";
import { createSubjectScript } from "./usage-store.ts";

const SOURCE = scriptText("copy-usage");

/** A copy finds the days of usage by a scan: no index lists them, and most families have none on most days. */
export function createUsageRows(options: Omit<UsageStoreOptions, "instanceId">): RowStore<UsageRow> {
  const { spread, registry } = options;
  const reads = createUsageReads(options);
  const listFamilies = createSubjectScript(registry, true);
  const raise = createRaise(options);
  const bytes = createUsageBytes(options);
  const load = async (days: readonly FamilyDay[]) => {
    const owners = days.map(({ family }) => ["HGET", registry.keys.usageOwners, family] as const);
    const [rows, found] = await Promise.all([
      Promise.all(days.map((day) => readDay(reads, day))),
      registry.commands(owners),
    ]);
    return rows.map(
      (row, at) => row && { ...row, owner: typeof found[at] === "string" ? found[at] : undefined },
    );
  };
  return {
    count: async () => undefined,
    async *pages() {
      for await (const names of spread.scan(USAGE_DAY_PATTERN)) {
        const days = names.map((name) => usageDayOf(spread.keys, name)).filter((day) => day !== undefined);
        yield (await load(days)).filter((row) => row !== undefined);
      }
    },
    find: (rows) => load(rows.map(({ family, day }) => ({ family, day: day.at }))),
    async put(changes) {
      const rows = changes.map(({ row }) => row);
      // As for postings: a family that has usage but is not listed would be missing in reports.
      for (const [day, ofDay] of Map.groupBy(rows, (row) => row.day.at))
        await listFamilies(
          day,
          ofDay.map(({ family, owner = family }) => ({ family, owner })),
        );
      await Promise.all(
        rows.map(async (row) => {
          const [newHours, newDay] = await raise(row);
          bytes.add(row.day.at, "h", newHours);
          bytes.add(row.day.at, "d", newDay);
        }),
      );
      await bytes.total();
      return changes.map(() => "written");
    },
  };
}

interface FamilyDay {
  readonly family: string;
  readonly day: number;
}

/** Undefined if the day has just expired. */
async function readDay({ hours, days }: Pick<UsageStore, "hours" | "days">, { family, day }: FamilyDay) {
  const [[found], ofDay] = await Promise.all([
    days(family, { from: day, to: day + 1 }),
    hours(family, { from: day * HOURS_PER_DAY, to: (day + 1) * HOURS_PER_DAY }),
  ]);
  return found && { family, day: found, hours: ofDay };
}

/** Writes a row in one script. It returns the new bytes of hours and of days. */
function createRaise({ spread, retention, nowMs }: Omit<UsageStoreOptions, "registry" | "instanceId">) {
  const run = spread.script(SOURCE, "copy-usage");
  return async ({ family, day, hours }: UsageRow): Promise<readonly [number, number]> => {
    const names = [spread.keys.usageHours(family, day.at), spread.keys.usageDay(family, day.at)];
    // Usage past the target's retention stays for another day, so that a comparison finds it.
    const life = (keptSeconds: number) =>
      Math.ceil(Math.max(DAY_SECONDS, (day.at + 1) * DAY_SECONDS + keptSeconds - nowMs() / 1000));
    const row = {
      other: `r${OTHER_ROUTES}`,
      hours: hours.flatMap((hour) => fieldsOf(hour, String(hourOfDay(hour.at)), `${hourOfDay(hour.at)}u`)),
      day: [
        ...fieldsOf(day, "t", "u"),
        ...[...day.routes].map(([label, { allowed, denied, limited }]) => [
          `r${label}`,
          [allowed, denied, limited],
        ]),
      ],
      lives: [life(retention.hoursSeconds), life(retention.daysSeconds)],
    };
    const reply = await run(names, [JSON.stringify(row)]);
    const [newHours = 0, newDay = 0] = Array.isArray(reply) ? reply.map(Number) : [];
    return [newHours, newDay];
  };
}

/** As usage.lua writes them. */
function fieldsOf({ requests, cost, units }: UsageRecord, totals: string, unitPrefix: string) {
  const { allowed, denied, limited } = requests;
  return [
    [totals, [allowed, denied, limited, cost]],
    ...[...units].map(([unit, amount]) => [`${unitPrefix}${unit}`, [amount]] as const),
  ];
}
