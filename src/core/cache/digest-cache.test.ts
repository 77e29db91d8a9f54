import { hash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createClockCache } from "./clock-cache.ts";
import { createDigestCache } from "./digest-cache.ts";

/** Digests of 32 bytes. Most of them begin their search in one of few slots, and some differ only in their sixteenth byte. */
const DIGESTS = Array.from({ length: 40 }, (_, number) =>
  String.fromCharCode(number % 3 === 0 ? 255 : number % 5, ...new Array(14).fill(0), number).padEnd(32, "x"),
);

const step = fc.oneof(
  { weight: 40, arbitrary: fc.record({ get: fc.constantFrom(...DIGESTS) }) },
  { weight: 60, arbitrary: fc.record({ set: fc.constantFrom(...DIGESTS), value: fc.nat() }) },
  { weight: 1, arbitrary: fc.constant({ clear: true }) },
);

test("answers and evicts like the clock cache, for digests that collide in the table", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.array(step, { maxLength: 200, size: "max" }),
      (max, steps) => {
        const evicted: number[] = [];
        const expectedEvicted: number[] = [];
        const cache = createDigestCache<number>(max, (value) => evicted.push(value));
        const expected = createClockCache<string, number>(max, (value) => expectedEvicted.push(value));
        for (const one of steps) {
          if ("get" in one) expect(cache.get(one.get)).toBe(expected.get(one.get));
          else if ("set" in one) {
            cache.set(one.set, one.value);
            expected.set(one.set, one.value);
          } else {
            cache.clear();
            expected.clear();
          }
        }
        expect(evicted).toEqual(expectedEvicted);
        for (const digest of DIGESTS) expect(cache.get(digest)).toBe(expected.get(digest));
      },
    ),
  );
});

test("a digest that is too short is rejected, because it would be equal to others", () => {
  expect(() => createDigestCache<number>(1).get("short")).toThrow(RangeError);
});

test("digests that differ in any one of their first 16 bytes are different", () => {
  const zeros = new Array<number>(32).fill(0);
  const digests = [zeros, ...Array.from({ length: 16 }, (_, at) => zeros.with(at, 255))].map((bytes) =>
    String.fromCharCode(...bytes),
  );
  const cache = createDigestCache<number>(digests.length);
  digests.forEach((digest, at) => void cache.set(digest, at));
  expect(digests.map((digest) => cache.get(digest))).toEqual(digests.map((_, at) => at));
});

test("if all entries are used, one is evicted after a bounded walk", () => {
  const digestOf = (number: number) => hash("sha256", String(number), "binary");
  const cache = createDigestCache<number>(100);
  for (let number = 0; number < 100; number++) cache.set(digestOf(number), number);
  for (let number = 0; number < 100; number++) cache.get(digestOf(number));
  cache.set(digestOf(100), 100);
  const kept = Array.from({ length: 101 }, (_, number) => cache.get(digestOf(number)));
  // The sixteen entries before it got their second chance.
  expect(kept.indexOf(undefined)).toBe(16);
  expect(kept.filter((value) => value === undefined)).toHaveLength(1);
});
