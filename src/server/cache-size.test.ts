import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { issuerCacheSize, tokenCacheSize } from "./cache-size.ts";

const MIB = 2 ** 20;

test("the cache follows the memory and the heap limit, within bounds", () => {
  const sizeOf = (total: number, heap: number) => tokenCacheSize(1, { total: total * MIB, heap: heap * MIB });
  expect([sizeOf(256, 280), sizeOf(512, 280), sizeOf(4096, 2072)]).toEqual([53_687, 107_374, 858_993]);
  // An operator has limited the heap.
  expect(sizeOf(4096, 100)).toBe(52_428);
  expect([sizeOf(65_536, 4144), sizeOf(8, 280)]).toEqual([1_000_000, 10_000]);
});

test("the caches of all workers fit into the memory that one process may use for its cache", () => {
  const memory = { total: 4096 * MIB, heap: 2072 * MIB };
  for (const workers of [1, 2, 8, 64])
    expect(workers * tokenCacheSize(workers, memory)).toBeLessThanOrEqual(tokenCacheSize(1, memory));
  // Below this, a cache would not serve its purpose.
  expect(tokenCacheSize(1000, memory)).toBe(10_000);
});

test("the caches of all issuers have no more tokens than the cache of our own, whatever their number", () => {
  for (const issuers of [1, 2, 3, 16])
    expect(issuers * issuerCacheSize(100_000, issuers)).toBeLessThan(100_000 + issuers);
  expect([0, 1, 2, 4].map((issuers) => issuerCacheSize(100_000, issuers))).toEqual([
    50_000, 50_000, 50_000, 25_000,
  ]);
});

test("the heap limit is that of the process", () => {
  const url = JSON.stringify(new URL("cache-size.ts", import.meta.url));
  const sizeWith = (megabytes: number) => {
    const print = `import { tokenCacheSize } from ${url}; console.log(tokenCacheSize(1));`;
    const args = [`--max-old-space-size=${megabytes}`, "--input-type=module", "--eval", print];
    return Number(execFileSync(process.execPath, args, { encoding: "utf8" }));
  };
  expect(sizeWith(100)).toBeGreaterThan(sizeWith(50) + 10_000);
});
