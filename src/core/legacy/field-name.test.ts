import { expect, test } from "vitest";
import { describeFieldNames } from "./field-name.ts";

const HIDDEN = "one whose name is not shown, because it may be a key";

test("a problem names unknown fields once each, but none that may be a key", () => {
  expect(describeFieldNames(["colour", "valid_until", "colour"])).toBe('"colour", "valid_until"');
  expect(describeFieldNames(["colour", "nsk_5f3a", "sk-live"])).toBe(`"colour", ${HIDDEN}`);
});

test.each(["", "Colour", "colour1", "a".repeat(21), " colour", "colour "])(
  "the name %j may be a key",
  (name) => {
    expect(describeFieldNames([name])).toBe(HIDDEN);
  },
);

test("a name of 20 characters is shown", () => {
  expect(describeFieldNames(["a".repeat(20)])).toBe(`"${"a".repeat(20)}"`);
});
