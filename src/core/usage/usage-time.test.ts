import { describe, expect, test } from "vitest";
import { dayOfHour, hourAt, hourOfDay, isOpen, postingTimes } from "./usage-time.ts";

const at = (text: string) => Date.parse(text) / 1000;
const HOUR = hourAt(Date.parse("2027-03-10T12:30:00Z"));

test.each([
  ["2027-03-10T00:00:00.000Z", 0, "2027-03-11T00:00:00Z"],
  ["2027-03-10T00:59:59.999Z", 0, "2027-03-11T00:00:00Z"],
  ["2027-03-10T12:30:00.000Z", 12, "2027-03-11T00:00:00Z"],
  ["2027-03-10T23:59:59.999Z", 23, "2027-03-11T00:00:00Z"],
  ["1970-01-01T00:00:00.000Z", 0, "1970-01-02T00:00:00Z"],
])("%s is in hour %d of its day in UTC", (time, ofDay, dayEnds) => {
  const hour = hourAt(Date.parse(time));
  expect(hourOfDay(hour)).toBe(ofDay);
  expect(dayOfHour(hour) * 86_400).toBe(at(dayEnds) - 86_400);
  expect(postingTimes(hour).dayEnds).toBe(at(dayEnds));
});

describe("a store counts postings for an hour", () => {
  test("until a day after its end", () => {
    expect(postingTimes(HOUR)).toMatchObject({
      opens: at("2027-03-10T12:00:00Z"),
      closes: at("2027-03-11T13:00:00Z"),
    });
  });

  test.each([
    ["2027-03-10T10:59:59Z", false],
    ["2027-03-10T11:00:00Z", true],
    ["2027-03-10T12:30:00Z", true],
    ["2027-03-11T12:59:59Z", true],
    ["2027-03-11T13:00:00Z", false],
  ])("at %s: %j", (time, counts) => {
    expect(isOpen(postingTimes(HOUR), at(time))).toBe(counts);
  });
});
