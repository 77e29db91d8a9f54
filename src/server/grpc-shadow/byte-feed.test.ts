import fc from "fast-check";
import { expect, test } from "vitest";
import { createByteFeed } from "./byte-feed.ts";

test("the bytes keep their order, in pieces of at most the limit, and their cost is freed once", () => {
  const step = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.constant("pull" as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.integer({ min: 1, max: 20 }), (steps, maxBytes) => {
      let freed = 0;
      const feed = createByteFeed(maxBytes, (cost) => {
        freed += cost;
      });
      const [added, taken]: [Buffer[], Buffer[]] = [[], []];
      for (const each of steps) {
        if (each !== "pull") {
          feed.add(each, each.length + 5);
          added.push(each);
          continue;
        }
        const piece = feed.pull() ?? Buffer.alloc(0);
        expect(piece.length).toBeLessThanOrEqual(maxBytes);
        taken.push(piece);
      }
      expect(Buffer.concat(added).subarray(0, feed.taken())).toEqual(Buffer.concat(taken));
      expect(feed.added()).toBe(Buffer.concat(added).length);
      feed.clear();
      expect(feed.taken()).toBe(feed.added());
      expect(freed).toBe(added.reduce((sum, { length }) => sum + length + 5, 0));
      expect(feed.pull()).toBeUndefined();
    }),
  );
});
