import fc from "fast-check";
import { expect, test } from "vitest";
import { randomText } from "../server/random-id.ts";
import { couldBeLegacyKey, makeLegacyKey } from "./key-form.ts";

test("a generated key has the form of a V1 key, and any changed letter is detected", () => {
  fc.assert(
    fc.property(fc.nat({ max: 41 }), fc.constantFrom(..."0Az9"), (at, letter) => {
      const key = makeLegacyKey(randomText);
      expect(couldBeLegacyKey(key)).toBe(true);
      const changed = key.slice(0, at) + letter + key.slice(at + 1);
      // A key with another prefix belongs to another system.
      if (changed !== key && changed.startsWith("lk1_")) expect(couldBeLegacyKey(changed)).toBe(false);
    }),
  );
});

test.each([
  ["another system's key", "sk-live-0123456789", true],
  ["a JWT", "aaaaaaaa.bbbbbbbb.cccccccc", false],
  ["too short", "abc", false],
  ["too long", "a".repeat(513), false],
])("%s: the key's form is recognised", (_what, key, wanted) => {
  expect(couldBeLegacyKey(key)).toBe(wanted);
});
