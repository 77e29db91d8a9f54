/** The dates of a time zone. Days are numbered from 1970-01-01. Times are milliseconds since 1970. */
export interface LocalDay {
  /** The date in the zone at this time. */
  dayAt(nowMs: number): number;
  /** The first instant of a date in the zone. A date that the zone skips begins with the next one. */
  startOf(day: number): number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** @param timeZone an IANA name. Throws a RangeError if it is unknown. */
export function createLocalDay(timeZone: string): LocalDay {
  const localMs = localClock(timeZone);
  return {
    dayAt: (nowMs) => Math.floor(localMs(nowMs) / DAY_MS),
    startOf(day) {
      const midnightMs = day * DAY_MS;
      // Offsets range from −12 to +14 hours. The clock changes at most once in this span, so the midnight has one of its offsets.
      const aroundMs = [midnightMs - DAY_MS, midnightMs + DAY_MS];
      const candidates = aroundMs.map((atMs) => midnightMs - (localMs(atMs) - atMs));
      const midnights = candidates.filter((atMs) => localMs(atMs) === midnightMs);
      return midnights.length > 0 ? Math.min(...midnights) : firstAfterGap(midnightMs, localMs);
    },
  };
}

/** The end of the gap, if the zone sets its clocks forward over the midnight. */
function firstAfterGap(midnightMs: number, localMs: (atMs: number) => number): number {
  let [before, after] = [midnightMs - 2 * DAY_MS, midnightMs + 2 * DAY_MS];
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (localMs(middle) < midnightMs) before = middle;
    else after = middle;
  }
  return after;
}

/** Converts a time to the one that a clock in the zone shows, as if that were UTC. */
function localClock(timeZone: string): (atMs: number) => number {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone,
    calendar: "gregory",
    numberingSystem: "latn",
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
  return (atMs) => {
    const fields = new Map(format.formatToParts(atMs).map(({ type, value }) => [type, Number(value)]));
    const field = (name: Intl.DateTimeFormatPartTypes) => fields.get(name) ?? 0;
    const seconds = Date.UTC(
      field("year"),
      field("month") - 1,
      field("day"),
      field("hour"),
      field("minute"),
      field("second"),
    );
    return seconds + (atMs - Math.floor(atMs / 1000) * 1000);
  };
}
