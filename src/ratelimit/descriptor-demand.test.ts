import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createCalendars } from "../core/quotas/calendar.ts";
import { descriptorDemand } from "./descriptor-demand.ts";

const text = fc.string({ unit: "grapheme", maxLength: 9 });
const entries = fc.array(fc.record({ key: text, value: text }), { minLength: 1, maxLength: 3 });
const limit = { name: "n", per: "key", leased: true, capacity: 1, refillPerSecond: 1 } as const;
const found = { kind: "bucket", limit, shadow: false } as const;

test("the id of a bucket is the same in all versions of instances that share a store", () => {
  fc.assert(
    fc.property(text, entries, (domain, list) => {
      const reference = createHash("sha256");
      for (const part of [domain, ...list.flatMap(({ key, value }) => [key, value])]) {
        const bytes = Buffer.from(part, "utf8");
        reference.update(`${bytes.length}:`).update(bytes);
      }
      const { buckets } = descriptorDemand(domain, list, found, createCalendars());
      expect(buckets[0]?.bucketId).toBe(`rls/${reference.digest("hex")}`);
    }),
  );
});
