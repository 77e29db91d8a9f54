import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { QuotaCount } from "../policy/policy.ts";
import { createCalendars } from "./calendar.ts";

type Every = QuotaCount["every"];

function windowsAt(every: Every, timeZone: string, at: string) {
  const { startMs, endMs, nextEndMs } = createCalendars()({ every, timeZone })(Date.parse(at));
  return [startMs, endMs, nextEndMs].map((ms) => new Date(ms).toISOString().replace(".000Z", "Z"));
}

describe("known windows", () => {
  test.each<
    readonly [what: string, every: Every, zone: string, at: string, start: string, end: string, next: string]
  >([
    [
      "an hour",
      "hour",
      "UTC",
      "2026-03-29T01:59:59.999Z",
      "2026-03-29T01:00:00Z",
      "2026-03-29T02:00:00Z",
      "2026-03-29T03:00:00Z",
    ],
    [
      "a day of 23 hours in Berlin",
      "day",
      "Europe/Berlin",
      "2026-03-29T12:00:00Z",
      "2026-03-28T23:00:00Z",
      "2026-03-29T22:00:00Z",
      "2026-03-30T22:00:00Z",
    ],
    [
      "a day of 25 hours in Berlin",
      "day",
      "Europe/Berlin",
      "2026-10-25T00:30:00Z",
      "2026-10-24T22:00:00Z",
      "2026-10-25T23:00:00Z",
      "2026-10-26T23:00:00Z",
    ],
    [
      "a day of 23 hours in New York",
      "day",
      "America/New_York",
      "2026-03-08T05:00:00Z",
      "2026-03-08T05:00:00Z",
      "2026-03-09T04:00:00Z",
      "2026-03-10T04:00:00Z",
    ],
    [
      "a day of 25 hours in New York",
      "day",
      "America/New_York",
      "2026-11-02T04:59:59.999Z",
      "2026-11-01T04:00:00Z",
      "2026-11-02T05:00:00Z",
      "2026-11-03T05:00:00Z",
    ],
    [
      "a week begins on Monday",
      "week",
      "UTC",
      "2026-11-29T23:59:59Z",
      "2026-11-23T00:00:00Z",
      "2026-11-30T00:00:00Z",
      "2026-12-07T00:00:00Z",
    ],
    [
      "a week over the turn of the year",
      "week",
      "Europe/Berlin",
      "2027-01-01T00:00:00Z",
      "2026-12-27T23:00:00Z",
      "2027-01-03T23:00:00Z",
      "2027-01-10T23:00:00Z",
    ],
    [
      "a week with a change of the clock",
      "week",
      "America/New_York",
      "2026-11-01T12:00:00Z",
      "2026-10-26T04:00:00Z",
      "2026-11-02T05:00:00Z",
      "2026-11-09T05:00:00Z",
    ],
    [
      "a month before February",
      "month",
      "UTC",
      "2026-01-31T23:59:59.999Z",
      "2026-01-01T00:00:00Z",
      "2026-02-01T00:00:00Z",
      "2026-03-01T00:00:00Z",
    ],
    [
      "February of a leap year",
      "month",
      "UTC",
      "2028-02-29T12:00:00Z",
      "2028-02-01T00:00:00Z",
      "2028-03-01T00:00:00Z",
      "2028-04-01T00:00:00Z",
    ],
    [
      "February 2100, which has 28 days",
      "month",
      "UTC",
      "2100-02-28T12:00:00Z",
      "2100-02-01T00:00:00Z",
      "2100-03-01T00:00:00Z",
      "2100-04-01T00:00:00Z",
    ],
    [
      "a month with a change of the clock",
      "month",
      "Europe/Berlin",
      "2026-10-31T22:59:59Z",
      "2026-09-30T22:00:00Z",
      "2026-10-31T23:00:00Z",
      "2026-11-30T23:00:00Z",
    ],
    [
      "December",
      "month",
      "America/New_York",
      "2026-12-31T23:00:00Z",
      "2026-12-01T05:00:00Z",
      "2027-01-01T05:00:00Z",
      "2027-02-01T05:00:00Z",
    ],
    [
      "a day whose midnight does not exist",
      "day",
      "Africa/Cairo",
      "2026-04-24T12:00:00Z",
      "2026-04-23T22:00:00Z",
      "2026-04-24T21:00:00Z",
      "2026-04-25T21:00:00Z",
    ],
    [
      "a date that the zone skips",
      "day",
      "Pacific/Apia",
      "2011-12-30T09:59:59Z",
      "2011-12-29T10:00:00Z",
      "2011-12-30T10:00:00Z",
      "2011-12-31T10:00:00Z",
    ],
    [
      "a midnight that occurs twice counts from the first",
      "day",
      "America/St_Johns",
      "2010-11-07T02:31:00Z",
      "2010-11-07T02:30:00Z",
      "2010-11-08T03:30:00Z",
      "2010-11-09T03:30:00Z",
    ],
    [
      "the repeated hour before that midnight belongs to the new day",
      "day",
      "America/St_Johns",
      "2010-11-07T03:29:59Z",
      "2010-11-07T02:30:00Z",
      "2010-11-08T03:30:00Z",
      "2010-11-09T03:30:00Z",
    ],
  ])("%s", (_what, every, zone, at, start, end, next) => {
    expect(windowsAt(every, zone, at)).toEqual([start, end, next]);
  });
});

/** The text of a date in a zone, by a formatter that the calendar does not use. */
function dateText(timeZone: string) {
  const format = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short" });
  return (ms: number) => format.format(ms);
}

/** Whether a window begins with this date. */
const BEGINS: Readonly<Record<Exclude<Every, "hour">, (date: string) => boolean>> = {
  day: () => true,
  week: (date) => new Date(`${date}T00:00:00Z`).getUTCDay() === 1,
  month: (date) => date.endsWith("-01"),
};

const STEP_MS = 15 * 60_000;

test("at every moment the windows are those that a walk through the zone finds", () => {
  const zones = fc.constantFrom(
    ...["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Kiritimati"],
    ...["Australia/Lord_Howe", "Africa/Cairo", "America/Santiago", "Pacific/Chatham", "Pacific/Marquesas"],
  );
  const moments = fc.integer({ min: Date.UTC(2020, 0, 1), max: Date.UTC(2040, 0, 1) });
  const kinds = fc.constantFrom("day" as const, "week" as const, "month" as const);
  fc.assert(
    fc.property(kinds, zones, moments, (every, timeZone, nowMs) => {
      const dateAt = dateText(timeZone);
      const { startMs, endMs, nextEndMs } = createCalendars()({ every, timeZone })(nowMs);
      const isStart = (ms: number) =>
        BEGINS[every](dateAt(ms)) && dateAt(ms - 1) < dateAt(ms) && dateAt(ms - 1) !== dateAt(ms);
      expect(startMs <= nowMs && nowMs < endMs && endMs < nextEndMs).toBe(true);
      for (const ms of [startMs, endMs, nextEndMs]) expect(isStart(ms)).toBe(true);
      // Every zone changes its clock by whole quarters of an hour, so no other start lies between two steps.
      for (const [from, till] of [
        [startMs, endMs],
        [endMs, nextEndMs],
      ] as const) {
        expect(from % STEP_MS).toBe(0);
        for (let ms = from + STEP_MS; ms < till; ms += STEP_MS) if (isStart(ms)) expect(ms).toBe(till);
      }
    }),
    { numRuns: 60 },
  );
});

test("a calendar has the same windows whatever it was asked before", () => {
  const moments = fc.array(fc.integer({ min: 0, max: Date.UTC(2040, 0, 1) }), { minLength: 2, maxLength: 5 });
  const kinds: fc.Arbitrary<Every> = fc.constantFrom("hour", "day", "week", "month");
  fc.assert(
    fc.property(kinds, moments, (every, asked) => {
      const calendar = createCalendars()({ every, timeZone: "Europe/Berlin" });
      for (const ms of asked)
        expect(calendar(ms)).toEqual(createCalendars()({ every, timeZone: "Europe/Berlin" })(ms));
    }),
    { numRuns: 50 },
  );
});

test("a calendar that was asked in one window enters the next one with its first millisecond", () => {
  for (const every of ["hour", "day", "week", "month"] as const) {
    const calendar = createCalendars()({ every, timeZone: "Europe/Berlin" });
    const first = calendar(Date.UTC(2026, 9, 20));
    expect(calendar(first.startMs)).toEqual(first);
    expect(calendar(first.endMs - 1)).toEqual(first);
    expect(calendar(first.endMs)).toMatchObject({ startMs: first.endMs, endMs: first.nextEndMs });
    expect(calendar(first.endMs - 1)).toEqual(first);
  }
});

test("a calendar is made once for each kind of window and zone", () => {
  const calendars = createCalendars();
  const berlin = calendars({ every: "day", timeZone: "Europe/Berlin" });
  expect(calendars({ every: "day", timeZone: "Europe/Berlin" })).toBe(berlin);
  expect(calendars({ every: "day", timeZone: "UTC" })).not.toBe(berlin);
  expect(calendars({ every: "week", timeZone: "Europe/Berlin" })).not.toBe(berlin);
});
