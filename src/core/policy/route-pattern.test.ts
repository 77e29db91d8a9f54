import { expect, test } from "vitest";
import { parsePattern } from "./route-pattern.ts";

test.each([
  ["/", []],
  ["/**", ["**"]],
  ["/a/", ["a"]],
  ["/%61/*/b/**", ["a", "*", "b", "**"]],
])("%s has the segments of a normalised path", (text, value) => {
  expect(parsePattern(text)).toEqual({ ok: true, value });
});

const NOT_NORMALISED = "is not a normalised path";
const NOT_AT_THE_END = "** is only allowed at the end";
const NOT_A_SEGMENT = "a * must be a whole segment";
const NO_ESCAPED_STAR = "%2A would be a *";
test.each([
  ["a", NOT_NORMALISED],
  ["/a?b", NOT_NORMALISED],
  ["/a?", NOT_NORMALISED],
  ["/a//b", NOT_NORMALISED],
  ["/../x", NOT_NORMALISED],
  ["/a;b", NOT_NORMALISED],
  ["/a/**/b", NOT_AT_THE_END],
  ["/**/**", NOT_AT_THE_END],
  ["/a*", NOT_A_SEGMENT],
  ["/**x", NOT_A_SEGMENT],
  ["/***", NOT_A_SEGMENT],
  ["/a/%2A", NO_ESCAPED_STAR],
  ["/a/%2a%2A", NO_ESCAPED_STAR],
  ["/%2a/b", NO_ESCAPED_STAR],
])("%s is no pattern, and its author learns why", (text, why) => {
  const parsed = parsePattern(text);
  expect(parsed).toEqual({ ok: false, why: expect.stringContaining(why) });
  expect(parsed).toEqual({ ok: false, why: expect.stringContaining(`"${text}"`) });
});
