/** Hours and days since 1970 in UTC, which has no leap seconds here. */
export const HOUR_SECONDS = 3600;
export const DAY_SECONDS = 86_400;
export const HOURS_PER_DAY = 24;

/** Seconds after the end of an hour until which a store counts postings for it: an outage may last as long. */
export const POSTING_GRACE_SECONDS = DAY_SECONDS;

export function hourAt(ms: number): number {
  return Math.floor(ms / (HOUR_SECONDS * 1000));
}

export function dayOfHour(hour: number): number {
  return Math.floor(hour / HOURS_PER_DAY);
}

/** From 0 to 23. */
export function hourOfDay(hour: number): number {
  return hour - dayOfHour(hour) * HOURS_PER_DAY;
}

/** How long usage is kept. */
export interface UsageRetention {
  readonly hoursSeconds: number;
  readonly daysSeconds: number;
}

/** The window of a posting, as NumericDates. */
export interface PostingTimes {
  /** The start of the hour. */
  readonly opens: number;
  /** From then on the store counts nothing more for the hour. */
  readonly closes: number;
  readonly dayEnds: number;
}

export function postingTimes(hour: number): PostingTimes {
  const opens = hour * HOUR_SECONDS;
  return {
    opens,
    closes: opens + HOUR_SECONDS + POSTING_GRACE_SECONDS,
    dayEnds: (dayOfHour(hour) + 1) * DAY_SECONDS,
  };
}

/** Whether a store counts postings for an hour at a time. An hour that begins later comes from a wrong clock. */
export function isOpen({ opens, closes }: PostingTimes, nowSeconds: number): boolean {
  return nowSeconds < closes && opens <= nowSeconds + HOUR_SECONDS;
}
