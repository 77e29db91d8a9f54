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

/** The texts for which the function is called if all of these are asked, one after another. */
function computed(places: number, asked: readonly string[]): readonly string[] {
  const work: string[] = [];
  const memoized = memoize(places, (text) => work.push(text));
  for (const text of asked) memoized(text);
  return work;
}

test("a repeated text is not computed again, unless it is longer than 512 characters", () => {
  const longest = "k".repeat(512);
  const long = "l".repeat(513);
  expect(computed(64, ["one", "one", longest, longest, long, long])).toEqual(["one", longest, long, long]);
});

test("a text that is too long does not replace the text at its place", () => {
  const long = "l".repeat(513);
  expect(computed(1, ["one", long, "one"])).toEqual(["one", long]);
});

/** How many of these texts are still known after all of them. The last one at each place is asked for first. */
function kept(places: number, texts: readonly string[]): number {
  return 2 * texts.length - computed(places, [...texts, ...texts.toReversed()]).length;
}

const numbered = (make: (at: string) => string) =>
  Array.from({ length: 100 }, (_, at) => make(String(at).padStart(2, "0")));

test.each([1, 2, 64])("as many texts as there are places are kept, here %i, and not more", (places) => {
  const texts = numbered((at) => `/v1/orders/${at}`);
  expect(kept(places, texts)).toBeGreaterThan(0.9 * places);
  expect(kept(places, texts)).toBeLessThanOrEqual(places);
});

test.each([
  ["paths that end with another number", 1024, numbered((at) => `/v1/orders/${at}`)],
  [
    "paths with another number before the last segment",
    1024,
    Array.from("0123456789", (at) => `/v1/users/${at}/ip`),
  ],
  ["names of three letters", 256, ["GET", "PUT", "FOO", "BAR", "api", "ops", "dev", "abc"]],
  ["texts of fewer than three characters", 256, ["", "a", "ab"]],
  [
    "names of headers",
    256,
    [
      "accept",
      "accept-encoding",
      "authorization",
      "cache-control",
      "content-length",
      "content-type",
      "cookie",
    ].concat(
      [
        "origin",
        "referer",
        "traceparent",
        "tracestate",
        "user-agent",
        "x-forwarded-for",
        "x-forwarded-proto",
      ],
      "x-request-id",
    ),
  ],
] as const)("%s have different places", (_kind, places, texts) => {
  expect(kept(places, texts)).toBe(texts.length);
});
