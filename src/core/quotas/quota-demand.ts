import type { LimitedKey } from "../limits/limit-subject.ts";
import { subjectOf } from "../limits/limit-subject.ts";
import type { Mode, Quota } from "../policy/policy.ts";
import type { Calendar, Calendars } from "./calendar.ts";

/** One quota that a request takes units from. */
export interface QuotaDemand {
  /** The counter's id on all instances: quota and subject. No bucket has this id. */
  readonly counterId: string;
  /** The counter and its limits: leases of one limit are not spent under another one. */
  readonly holderId: string;
  readonly quota: Quota;
  /** The family, owner or role that uses it. */
  readonly subject: string;
  readonly mode: Mode;
  readonly calendar: Calendar;
  readonly extra: ExtraUnits | undefined;
}

/** Units on top of the limit in one window. */
export interface ExtraUnits {
  readonly units: number;
  /** The start of the window, in milliseconds. */
  readonly windowMs: number;
}

/** What a quota admits in the window that contains this time. */
export function unitLimit({ quota, extra, calendar }: QuotaDemand, nowMs: number): number {
  return extra !== undefined && calendar(nowMs).startMs === extra.windowMs
    ? quota.limit + extra.units
    : quota.limit;
}

/** Whether every Check counts. Other units are charged after the response, by the routes that name them. */
export function countsRequests({ unit }: Pick<Quota, "unit">): boolean {
  return unit === "requests";
}

/** The quotas that every request of this key takes units from. */
export function quotaDemands(
  quotas: readonly Quota[],
  key: LimitedKey,
  calendars: Calendars,
  mode: Mode = "enforce",
): readonly QuotaDemand[] {
  return allQuotaDemands(quotas.filter(countsRequests), key, calendars, mode);
}

/** The quotas that are charged after the response. */
export function chargedDemands(
  quotas: readonly Quota[],
  key: LimitedKey,
  calendars: Calendars,
  mode: Mode = "enforce",
): readonly QuotaDemand[] {
  const charged = quotas.filter((quota) => !countsRequests(quota));
  return allQuotaDemands(charged, key, calendars, mode);
}

/**
 * The quotas of this key. Shadow mode has its own counters, so that the trial of a policy takes nothing from the clients that are
 * served.
 */
export function allQuotaDemands(
  quotas: readonly Quota[],
  key: LimitedKey,
  calendars: Calendars,
  mode: Mode = "enforce",
): readonly QuotaDemand[] {
  // The names of roles and plans, with which the ids of buckets begin, contain no slash but "plan/".
  const prefix = mode === "shadow" ? "quota/shadow/" : "quota/";
  return quotas.map((quota) => {
    const subject = subjectOf(quota.per, key);
    const counterId = `${prefix}${quota.per}:${quota.name}:${subject}`;
    const calendar = calendars(quota);
    const extra = quota.extra && {
      units: quota.extra.units,
      windowMs: calendar(quota.extra.atMs).startMs,
    };
    const limits = [quota.limit, ...(extra ? [extra.units, extra.windowMs] : [])];
    // The numbers come first, because a subject may be any text.
    const holderId = `${limits.join(" ")} ${counterId}`;
    return { counterId, holderId, quota, subject, mode, calendar, extra };
  });
}
