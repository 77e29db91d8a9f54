import fc from "fast-check";
import { expect, test } from "vitest";
import { createSharedBytes } from "./shared-bytes.ts";

test("the total never exceeds the maximum, and the holder that has kept bytes for the longest time is released first", () => {
  const step = fc.record({ holder: fc.nat(9), bytes: fc.nat(60) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const model = new Map<number, number>();
      const released: number[] = [];
      const shared = createSharedBytes<number>(100, (holder) => released.push(holder));
      for (const { holder, bytes } of steps) {
        released.length = 0;
        shared.set(holder, bytes);
        if (bytes === 0) model.delete(holder);
        else model.set(holder, bytes);
        const expected: number[] = [];
        for (const [oldest, kept] of [...model]) {
          if ([...model.values()].reduce((sum, each) => sum + each, 0) <= 100) break;
          expected.push(oldest);
          model.delete(oldest);
          expect(kept).toBeGreaterThan(0);
        }
        expect(released).toEqual(expected);
        expect(shared.bytes()).toBe([...model.values()].reduce((sum, each) => sum + each, 0));
        expect(shared.bytes()).toBeLessThanOrEqual(100);
      }
    }),
  );
});

test("a holder that sets its bytes to 0 when it is released is counted once", () => {
  const shared = createSharedBytes<string>(10, (holder) => shared.set(holder, 0));
  shared.set("first", 6);
  shared.set("second", 6);
  expect(shared.bytes()).toBe(6);
  shared.set("second", 0);
  expect(shared.bytes()).toBe(0);
});
