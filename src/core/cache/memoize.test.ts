import fc from "fast-check";
import { expect, test } from "vitest";
import { memoize } from "./memoize.ts";

const texts = fc.array(
  fc.oneof(fc.constantFrom("", "a", "ab", "ba", "a".repeat(3000)), fc.string({ unit: "binary" })),
);

test("whatever comes in whatever order, the answer is the function's own", () => {
  fc.assert(
    fc.property(texts, fc.constantFrom(1, 2, 64), (asked, places) => {
      const remembered = memoize(places, (text) => `${text.length}:${text}`);
      for (const text of [...asked, ...asked]) expect(remembered(text)).toBe(`${text.length}:${text}`);
    }),
  );
});

test("a text that comes again is not worked out again, unless it is too long to be kept", () => {
  const asked: string[] = [];
  const remembered = memoize(64, (text) => asked.push(text));
  const long = "l".repeat(3000);
  for (const text of ["one", "one", long, long]) remembered(text);
  expect(asked).toEqual(["one", long, long]);
});
