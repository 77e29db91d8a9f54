import fc from "fast-check";
import { expect, test } from "vitest";
import { createByteQueue } from "./byte-queue.ts";

test("bytes leave the queue as they came, in memory of at most twice what it held at once", () => {
  const step = fc.oneof(fc.uint8Array({ maxLength: 50 }), fc.nat({ max: 60 }));
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const queue = createByteQueue();
      let expected = Buffer.alloc(0);
      let mostBytes = 0;
      for (const taken of steps) {
        if (typeof taken === "number") {
          const count = Math.min(taken, expected.length);
          queue.remove(count);
          expected = expected.subarray(count);
        } else {
          queue.push(taken);
          expected = Buffer.concat([expected, taken]);
        }
        mostBytes = Math.max(mostBytes, expected.length);
        expect(queue.bytes()).toEqual(expected);
        if (expected.length === 0) expect(queue.bytes().buffer.byteLength).toBe(0);
        else expect(queue.bytes().buffer.byteLength).toBeLessThanOrEqual(2 * mostBytes);
      }
    }),
  );
});
