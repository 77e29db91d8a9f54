import type { UsageRecord } from "../usage/ports.ts";
import type { OutcomeCounts, UsageTotals } from "../usage/usage-amount.ts";
import { addTotals, noUsage } from "../usage/usage-amount.ts";
import type { UsageRow } from "./ports.ts";

/**
 * For each hour and each number the larger one counts, so that a repeated copy counts nothing twice. A day is at least the sum of
 * its hours: each store may have counted other hours of it. Returns undefined if the stored row has all of it.
 */
export function mergeUsageRow(source: UsageRow, stored: UsageRow | undefined): UsageRow | undefined {
  const { family } = source;
  const hours = mergeHours(source.hours, stored?.hours ?? []);
  const sum = noUsage();
  for (const hour of hours) addTotals(sum, hour);
  const day = { at: source.day.at, ...largerUsage(largerUsage(source.day, stored?.day ?? noUsage()), sum) };
  const merged = { family, owner: stored?.owner ?? source.owner ?? family, day, hours };
  return stored?.owner !== undefined && usageText(merged) === usageText(stored) ? undefined : merged;
}

function mergeHours(source: readonly UsageRecord[], stored: readonly UsageRecord[]): readonly UsageRecord[] {
  const merged = new Map(stored.map((hour) => [hour.at, hour]));
  for (const hour of source)
    merged.set(hour.at, { at: hour.at, ...largerUsage(hour, merged.get(hour.at) ?? noUsage()) });
  return [...merged.values()].sort((one, other) => one.at - other.at);
}

/** The larger one of each number. */
export function largerUsage(one: UsageTotals, other: UsageTotals): UsageTotals {
  return {
    requests: largerCounts(one.requests, other.requests),
    cost: Math.max(one.cost, other.cost),
    units: union(one.units, other.units, Math.max),
    routes: union(one.routes, other.routes, largerCounts),
  };
}

function largerCounts(one: OutcomeCounts, other: OutcomeCounts): OutcomeCounts {
  return {
    allowed: Math.max(one.allowed, other.allowed),
    denied: Math.max(one.denied, other.denied),
    limited: Math.max(one.limited, other.limited),
  };
}

function union<Value>(
  one: Iterable<readonly [string, Value]>,
  other: Iterable<readonly [string, Value]>,
  larger: (one: Value, other: Value) => Value,
): Map<string, Value> {
  const all = new Map(one);
  for (const [name, value] of other) {
    const known = all.get(name);
    all.set(name, known === undefined ? value : larger(known, value));
  }
  return all;
}

/** What the digest covers, whatever the order of units and routes. */
export function usageText({ family, owner = family, day, hours }: UsageRow): string {
  return JSON.stringify([family, owner, [day, ...hours].map(numbersOf)]);
}

function numbersOf({ at, requests, cost, units, routes }: UsageRecord): readonly unknown[] {
  const list = ({ allowed, denied, limited }: OutcomeCounts) => [allowed, denied, limited];
  const routeCounts = [...routes].map(([label, counts]) => [label, list(counts)] as const);
  return [at, list(requests), cost, sortedByName([...units]), sortedByName(routeCounts)];
}

function sortedByName<Entry extends readonly [string, unknown]>(entries: readonly Entry[]): readonly Entry[] {
  return entries.toSorted(([one], [other]) => (one < other ? -1 : 1));
}
