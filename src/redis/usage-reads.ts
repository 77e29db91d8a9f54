import type { UsageRecord, UsageSpan, UsageStore } from "../core/usage/ports.ts";
import type { OutcomeCounts } from "../core/usage/usage-amount.ts";
import { noUsage } from "../core/usage/usage-amount.ts";
import { dayOfHour } from "../core/usage/usage-time.ts";
import { pairs } from "./replies.ts";
import type { UsageStoreOptions } from "./usage-options.ts";

/** Commands that are sent together. */
const READS_AT_ONCE = 100;

type Fields = readonly (readonly [string, string])[];

/** Reads what usage.lua has written. */
export function createUsageReads({
  spread,
}: Pick<UsageStoreOptions, "spread">): Pick<UsageStore, "hours" | "days"> {
  /** The hashes of some days, in the order of the days. */
  const read = async (
    nameOf: (day: number) => string,
    { from, to }: UsageSpan,
  ): Promise<readonly (readonly [day: number, Fields])[]> => {
    const found: (readonly [number, Fields])[] = [];
    for (let start = from; start < to; start += READS_AT_ONCE) {
      const days = Array.from({ length: Math.min(READS_AT_ONCE, to - start) }, (_, index) => start + index);
      const replies = await Promise.all(
        days.map((day) => spread.commandAt(nameOf(day), "HGETALL", nameOf(day))),
      );
      for (const [index, day] of days.entries()) {
        const fields = pairs(replies[index]);
        if (fields.length > 0) found.push([day, fields]);
      }
    }
    return found;
  };
  return {
    async hours(family, { from, to }) {
      const days = { from: dayOfHour(from), to: dayOfHour(to - 1) + 1 };
      const found = await read((day) => spread.keys.usageHours(family, day), days);
      return found.flatMap(([day, fields]) => hoursOf(day, fields)).filter(({ at }) => at >= from && at < to);
    },
    async days(family, span) {
      const found = await read((day) => spread.keys.usageDay(family, day), span);
      return found.map(([day, fields]) => dayFrom(day, fields));
    },
  };
}

/** Fields are `<hour>` for the counts of an hour, and `<hour>u<unit>`. */
function hoursOf(day: number, fields: Fields): readonly UsageRecord[] {
  const byHour = new Map<number, ReturnType<typeof noUsage>>();
  for (const [name, value] of fields) {
    const [, hour, unit] = /^(\d{1,2})(?:u(.+))?$/s.exec(name) ?? [];
    if (hour === undefined) continue;
    const usage = byHour.get(Number(hour)) ?? noUsage();
    byHour.set(Number(hour), usage);
    if (unit === undefined) setTotals(usage, value);
    else usage.units.set(unit, numbersIn(value)[0] ?? 0);
  }
  return [...byHour]
    .sort(([one], [other]) => one - other)
    .map(([hour, usage]) => ({ at: day * 24 + hour, ...usage }));
}

/** Fields are `t` for the totals, `u<unit>`, and `r<label>` for a route. */
function dayFrom(day: number, fields: Fields): UsageRecord {
  const usage = noUsage();
  for (const [name, value] of fields) {
    if (name === "t") setTotals(usage, value);
    else if (name.startsWith("u")) usage.units.set(name.slice(1), numbersIn(value)[0] ?? 0);
    else if (name.startsWith("r")) usage.routes.set(name.slice(1), countsFrom(numbersIn(value)));
  }
  return { at: day, ...usage };
}

function setTotals(usage: ReturnType<typeof noUsage>, value: string): void {
  const numbers = numbersIn(value);
  Object.assign(usage.requests, countsFrom(numbers));
  usage.cost = numbers[3] ?? 0;
}

function countsFrom([allowed = 0, denied = 0, limited = 0]: readonly number[]): OutcomeCounts {
  return { allowed, denied, limited };
}

function numbersIn(value: string): readonly number[] {
  return value.split(" ").map((part) => (/^\d+$/.test(part) ? Number(part) : 0));
}
