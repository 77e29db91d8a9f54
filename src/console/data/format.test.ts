import { expect, test } from "vitest";
import { formatAge, formatCount, formatMs, formatNumber, formatPlural, formatSeconds } from "./format.ts";

test("numbers have thousands separators, and three significant digits below 1000", () => {
  expect(formatCount(1234567)).toBe("1,234,567");
  expect(formatNumber(0.12345)).toBe("0.123");
  expect(formatNumber(12.345)).toBe("12.3");
  expect(formatNumber(12345.6)).toBe("12,346");
  expect(formatPlural(1, "key")).toBe("1 key");
  expect(formatPlural(1200, "key")).toBe("1,200 keys");
  expect(formatMs(0.1234)).toBe("0.123 ms");
  expect(formatMs(48.2)).toBe("48 ms");
});

test.each([
  [0, "0 s"],
  [59.9, "59 s"],
  [60, "1 min"],
  [3600, "1 h"],
  [7500, "2 h 5 min"],
  [86_400, "1 d"],
  [100_000, "1 d 3 h"],
  [-3, "0 s"],
])("%s seconds are %s", (seconds, text) => expect(formatSeconds(seconds)).toBe(text));

test.each([
  [0, "just now"],
  [-4000, "just now"],
  [-180_000, "3 min ago"],
  [7_500_000, "in 2 h 5 min"],
  [2000, "in a moment"],
])("a time %s ms from now is %s", (ms, text) => expect(formatAge(1e12 + ms, 1e12)).toBe(text));
