import fc from "fast-check";
import { expect, test } from "vitest";
import type { PackedKey } from "./packed-key-map.ts";
import { createPackedKeyMap } from "./packed-key-map.ts";

test("behaves like a map of objects for any insertions and deletions", () => {
  const number = fc.oneof(fc.nat(), fc.constant(253_402_300_799));
  const packed = fc.record({
    version: number,
    expiresAt: number,
    flags: fc.nat({ max: 3 }),
    notAfter: number,
  });
  const step = fc.tuple(fc.nat({ max: 150 }), fc.option(packed, { nil: undefined }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const keys = createPackedKeyMap();
      const model = new Map<string, PackedKey>();
      for (const [at, value] of steps) {
        const keyId = `k${at}`;
        if (value === undefined) {
          keys.delete(keyId);
          model.delete(keyId);
        } else {
          keys.set(keyId, value);
          model.set(keyId, value);
        }
        expect(keys.get(keyId)).toEqual(model.get(keyId));
      }
      expect(new Map(keys.entries())).toEqual(model);
      expect(keys.size()).toBe(model.size);
    }),
  );
});
