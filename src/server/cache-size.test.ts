import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { tokenCacheSize } from "./cache-size.ts";

const MIB = 2 ** 20;

test("the cache follows the memory and the heap limit, within bounds", () => {
  const sizeOf = (total: number, heap: number) => tokenCacheSize({ total: total * MIB, heap: heap * MIB });
  expect([sizeOf(256, 280), sizeOf(512, 280), sizeOf(4096, 2072)]).toEqual([53_687, 107_374, 858_993]);
  // An operator has limited the heap.
  expect(sizeOf(4096, 100)).toBe(52_428);
  expect([sizeOf(65_536, 4144), sizeOf(8, 280)]).toEqual([1_000_000, 10_000]);
});

test("the heap limit is that of the process", () => {
  const url = JSON.stringify(new URL("cache-size.ts", import.meta.url));
  const sizeWith = (megabytes: number) => {
    const print = `import { tokenCacheSize } from ${url}; console.log(tokenCacheSize());`;
    const args = [`--max-old-space-size=${megabytes}`, "--input-type=module", "--eval", print];
    return Number(execFileSync(process.execPath, args, { encoding: "utf8" }));
  };
  expect(sizeWith(100)).toBeGreaterThan(sizeWith(50) + 10_000);
});
