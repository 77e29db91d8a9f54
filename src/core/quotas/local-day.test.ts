import { expect, test } from "vitest";
import { createLocalDay } from "./local-day.ts";

const DAY_MS = 86_400_000;
const dayOf = (date: string) => Date.parse(date) / DAY_MS;
const isoText = (ms: number) => new Date(ms).toISOString().replace(".000Z", "Z");
const startOf = (zone: string, date: string) => isoText(createLocalDay(zone).startOf(dayOf(date)));
const dateAt = (zone: string, at: string) =>
  isoText(createLocalDay(zone).dayAt(Date.parse(at)) * DAY_MS).slice(0, 10);

test.each([
  ["UTC", "2026-11-30T00:00:00Z", "2026-11-30"],
  ["UTC", "2026-11-30T00:00:00.001Z", "2026-11-30"],
  ["UTC", "2026-11-30T23:59:59.999Z", "2026-11-30"],
  ["Europe/Berlin", "2026-12-31T22:59:59.999Z", "2026-12-31"],
  ["Europe/Berlin", "2026-12-31T23:00:00Z", "2027-01-01"],
  ["America/New_York", "2028-03-01T04:59:59.999Z", "2028-02-29"],
  ["Pacific/Kiritimati", "2026-06-30T10:00:00Z", "2026-07-01"],
  ["Asia/Kathmandu", "2026-06-30T18:14:59.999Z", "2026-06-30"],
  ["Asia/Kathmandu", "2026-06-30T18:15:00Z", "2026-07-01"],
  // Until 1972, Liberia was 44 minutes and 30 seconds behind.
  ["Africa/Monrovia", "1971-06-01T00:44:29.999Z", "1971-05-31"],
  ["Africa/Monrovia", "1971-06-01T00:44:30Z", "1971-06-01"],
])("in %s, %s is on %s", (zone, at, date) => {
  expect(dateAt(zone, at)).toBe(date);
});

test.each([
  ["a zone without changes of its clock", "UTC", "2026-11-30", "2026-11-30T00:00:00Z"],
  ["the zone that is the furthest ahead", "Pacific/Kiritimati", "2026-07-01", "2026-06-30T10:00:00Z"],
  ["the zone that is the furthest behind", "Etc/GMT+12", "2026-07-01", "2026-07-01T12:00:00Z"],
  ["an offset with seconds", "Africa/Monrovia", "1971-06-01", "1971-06-01T00:44:30Z"],
  [
    "a clock that changes after midnight, ahead of UTC",
    "Australia/Sydney",
    "2026-10-04",
    "2026-10-03T14:00:00Z",
  ],
  [
    "a clock that changes before midnight, behind UTC",
    "America/Santiago",
    "2026-04-05",
    "2026-04-05T04:00:00Z",
  ],
  ["a midnight that occurs twice", "America/St_Johns", "2010-11-07", "2010-11-07T02:30:00Z"],
  ["a midnight that does not exist, ahead of UTC", "Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00Z"],
  ["a midnight that does not exist, behind UTC", "America/Santiago", "2026-09-06", "2026-09-06T04:00:00Z"],
  ["a date that the zone skips", "Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z"],
])("a date begins at its first instant: %s", (_what, zone, date, start) => {
  expect(startOf(zone, date)).toBe(start);
});

test("a time zone that does not exist is rejected", () => {
  expect(() => createLocalDay("Europe/Nowhere")).toThrow(RangeError);
});
