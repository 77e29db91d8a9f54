import { expect, test } from "vitest";
import { parseDuration, parseRate } from "./duration.ts";

test.each([
  ["90s", 90],
  ["5m", 300],
  ["12h", 43_200],
  ["7d", 604_800],
  ["999999999s", 999_999_999],
  ["0s", 0],
  ["1000000000s", undefined],
  ["1", undefined],
  ["s", undefined],
  ["1w", undefined],
  ["1.5h", undefined],
  ["-1s", undefined],
  [" 1s", undefined],
  ["1s ", undefined],
  ["1s\n", undefined],
])("the duration %j has %s seconds", (text, seconds) => expect(parseDuration(text)).toBe(seconds));

test.each([
  ["10/s", 10],
  ["600/m", 10],
  ["7200/h", 2],
  ["86400/d", 1],
  ["0.5/s", 0.5],
  ["12.25/s", 12.25],
  ["999999999.999999/s", 999_999_999.999999],
  ["1000000000/s", undefined],
  ["1.0000000/s", undefined],
  ["1./s", undefined],
  [".5/s", undefined],
  ["10", undefined],
  ["10/w", undefined],
  ["10s", undefined],
  ["-1/s", undefined],
  [" 1/s", undefined],
  ["1/s ", undefined],
])("the rate %j has %s tokens a second", (text, rate) => expect(parseRate(text)).toBe(rate));
