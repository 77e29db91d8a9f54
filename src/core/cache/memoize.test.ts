import fc from "fast-check";
import { expect, test } from "vitest";
import { memoize } from "./memoize.ts";

const texts = fc.array(
  fc.oneof(fc.constantFrom("", "a", "ab", "ba", "a".repeat(3000)), fc.string({ unit: "binary" })),
);

test("for any texts in any order, the result is that of the function", () => {
  fc.assert(
    fc.property(texts, fc.constantFrom(1, 2, 64), (asked, places) => {
      const memoized = memoize(places, (text) => `${text.length}:${text}`);
      for (const text of [...asked, ...asked]) expect(memoized(text)).toBe(`${text.length}:${text}`);
    }),
  );
});

test("a repeated text is not computed again, unless it is too long to be kept", () => {
  const asked: string[] = [];
  const memoized = memoize(64, (text) => asked.push(text));
  const long = "l".repeat(3000);
  for (const text of ["one", "one", long, long]) memoized(text);
  expect(asked).toEqual(["one", long, long]);
});
