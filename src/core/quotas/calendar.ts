import type { QuotaCount } from "../policy/policy.ts";
import type { LocalDay } from "./local-day.ts";
import { createLocalDay } from "./local-day.ts";

/** The window that contains a moment, and the one after it. Times are milliseconds since 1970. */
export interface Windows {
  readonly startMs: number;
  /** The start of the next window. */
  readonly endMs: number;
  /** The end of the next window. */
  readonly nextEndMs: number;
}

/** The windows of a quota at a moment. The last result is kept, so a call within the same window is cheap. */
export type Calendar = (nowMs: number) => Windows;

export type Calendars = (count: Pick<QuotaCount, "every" | "timeZone">) => Calendar;

export const HOUR_MS = 3_600_000;

/** One calendar for each kind of window and time zone, so that calendars can be compared. */
export function createCalendars(): Calendars {
  const known = new Map<string, Calendar>();
  return ({ every, timeZone }) => {
    const name = `${every} ${timeZone}`;
    const calendar = known.get(name) ?? createCalendar(every, timeZone);
    known.set(name, calendar);
    return calendar;
  };
}

function createCalendar(every: QuotaCount["every"], timeZone: string): Calendar {
  const windowsAt = every === "hour" ? hoursAt : calendarWindows(PERIODS[every], createLocalDay(timeZone));
  let last: Windows | undefined;
  return (nowMs) => {
    if (last !== undefined && nowMs >= last.startMs && nowMs < last.endMs) return last;
    last = windowsAt(nowMs);
    return last;
  };
}

function hoursAt(nowMs: number): Windows {
  const startMs = Math.floor(nowMs / HOUR_MS) * HOUR_MS;
  return { startMs, endMs: startMs + HOUR_MS, nextEndMs: startMs + 2 * HOUR_MS };
}

/** Days are numbered from 1970-01-01, in the proleptic Gregorian calendar. */
interface Period {
  /** The first day of the period that contains a day. */
  firstDay(day: number): number;
  /** The first day of the period after the one that begins on this day. */
  next(firstDay: number): number;
}

const PERIODS: Readonly<Record<Exclude<QuotaCount["every"], "hour">, Period>> = {
  day: { firstDay: (day) => day, next: (day) => day + 1 },
  // 1970-01-05 was a Monday (ISO 8601: the first day of a week).
  week: { firstDay: (day) => day - modulo(day - 4, 7), next: (day) => day + 7 },
  month: { firstDay: (day) => monthDay(day, 0), next: (day) => monthDay(day, 1) },
};

const DAY_MS = 24 * HOUR_MS;

/** The first day of the month that is `months` after that of the day. */
function monthDay(day: number, months: number): number {
  const date = new Date(day * DAY_MS);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + months, 1) / DAY_MS;
}

function modulo(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor;
}

/**
 * A window begins at the first instant of its first date. Where a zone sets its clocks back over midnight, the date of a moment
 * can be earlier than the window that has begun, so the starts decide, not the date. A date that a zone skips has no window.
 */
function calendarWindows(
  { firstDay, next }: Period,
  { dayAt, startOf }: LocalDay,
): (nowMs: number) => Windows {
  return (nowMs) => {
    const today = firstDay(dayAt(nowMs));
    const starts = [startOf(firstDay(today - 1)), startOf(today)];
    for (let day = next(today); (starts.at(-2) ?? 0) <= nowMs; day = next(day)) {
      const startMs = startOf(day);
      if (startMs > (starts.at(-1) ?? 0)) starts.push(startMs);
    }
    const [startMs = 0, endMs = 0, nextEndMs = 0] = starts.slice(starts.findLastIndex((at) => at <= nowMs));
    return { startMs, endMs, nextEndMs };
  };
}
