import type { UsageReport } from "../../../client/types.ts";

/** The usage of one day. */
export interface UsageDay {
  /** Seconds since 1970 of its start in UTC. */
  readonly at: number;
  readonly allowed: number;
  readonly denied: number;
  readonly limited: number;
}

const DAY_SECONDS = 86_400;

/** Every day of the report, also those without a row. */
export function usageDays({ from, to, usage }: UsageReport): readonly UsageDay[] {
  const byDay = new Map<number, UsageDay>();
  for (const { time, allowed, denied, limited } of usage) {
    if (time === null) continue;
    const at = Date.parse(time) / 1000;
    const before = byDay.get(at) ?? { at, allowed: 0, denied: 0, limited: 0 };
    byDay.set(at, {
      at,
      allowed: before.allowed + allowed,
      denied: before.denied + denied,
      limited: before.limited + limited,
    });
  }
  const [first, end] = [Date.parse(from) / 1000, Date.parse(to) / 1000];
  const days: UsageDay[] = [];
  for (let at = first; at < end; at += DAY_SECONDS)
    days.push(byDay.get(at) ?? { at, allowed: 0, denied: 0, limited: 0 });
  return days;
}
