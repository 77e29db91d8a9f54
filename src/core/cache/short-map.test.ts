import fc from "fast-check";
import { expect, test } from "vitest";
import { ShortMap } from "./short-map.ts";

test("answers like a Map, in the same order", () => {
  const changes = fc.array(fc.tuple(fc.constantFrom("a", "b", "c", "__proto__", ""), fc.nat()), {
    maxLength: 12,
  });
  fc.assert(
    fc.property(changes, (made) => {
      const map = new Map<string, number>();
      const short = new ShortMap<number>();
      for (const [name, value] of made) {
        expect(short.has(name)).toBe(map.has(name));
        map.set(name, value);
        short.set(name, value);
        expect(short.get(name)).toBe(value);
      }
      expect([...short]).toEqual([...map]);
      expect(short.size).toBe(map.size);
      expect(short.get("absent")).toBeUndefined();
    }),
  );
});
