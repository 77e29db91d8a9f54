import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createUsagePacking, unpackUsage } from "./packed-usage.ts";
import type { UsageAmount } from "./usage-amount.ts";
import { mergeUsage, noAmount } from "./usage-amount.ts";

const whole = fc.nat({ max: 2 ** 31 });
const counts = fc.record({ allowed: whole, denied: whole, limited: whole });
const namesOf = <Value>(value: fc.Arbitrary<Value>) =>
  fc.array(fc.tuple(fc.string(), value), { maxLength: 5 }).map((entries) => new Map(entries));
const amounts: fc.Arbitrary<UsageAmount> = fc.record({
  owner: fc.oneof(fc.constant("fam"), fc.string({ minLength: 1 })),
  requests: counts,
  cost: whole,
  units: namesOf(whole),
  routes: namesOf(counts),
});

test("a packed amount is the same amount, and so is a sum", () => {
  const { pack, merge } = createUsagePacking();
  fc.assert(
    fc.property(amounts, amounts, (one, other) => {
      const packed = [one, other].map((amount) => pack("fam", amount));
      expect(packed.map((text) => unpackUsage("fam", text))).toEqual([one, other]);
      const [first = "", second = ""] = packed;
      const sum = unpackUsage("fam", merge(first, second));
      expect(sum).toEqual(mergeUsage(one, other));
    }),
  );
});

test("families with equal usage have the same text, whatever their names are", () => {
  const { pack } = createUsagePacking();
  const amountOf = (owner: string) => ({ ...noAmount(owner), cost: 3 });
  expect(pack("f1", amountOf("f1"))).toBe(pack("f2", amountOf("f2")));
  expect(pack("f1", amountOf("f2"))).not.toBe(pack("f2", amountOf("f2")));
});

test("100,000 families whose usage was stored take less than 21 MB", () => {
  const url = (name: string) => JSON.stringify(new URL(name, import.meta.url));
  const fill = `
    import { createPoster } from ${url("../postings/poster.ts")};
    import { FamilyCounts } from ${url("family-counts.ts")};
    import { createUsagePacking } from ${url("packed-usage.ts")};
    const packing = createUsagePacking();
    const poster = createPoster({
      ...{ merge: packing.merge, monotonicMs: () => performance.now(), scopeOf: (hour) => hour, keepMs: 1e9 },
      store: { post: async (postings) => postings.map(() => "counted") },
    });
    const used = () => { gc(); gc(); return process.memoryUsage().heapUsed; };
    const families = Array.from({ length: 100_000 }, (_, at) => "fam_" + String(at).padStart(22, "x"));
    const before = used();
    for (const [at, family] of families.entries()) {
      const counts = new FamilyCounts(family);
      for (let request = at % 5; request >= 0; request--) counts.count("allowed", "/v1/**", 1);
      poster.add(family, 496_000, packing.pack(family, counts.amount()));
    }
    await poster.post();
    console.log(used() - before, families.length, poster.waiting());
  `;
  const args = ["--expose-gc", "--input-type=module", "--eval", fill];
  const [bytes = "", families, waiting] = execFileSync(process.execPath, args, { encoding: "utf8" })
    .trim()
    .split(" ");
  expect([families, waiting]).toEqual(["100000", "0"]);
  expect(Number(bytes)).toBeLessThan(21_000_000);
});
