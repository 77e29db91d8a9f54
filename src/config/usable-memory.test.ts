import { totalmem } from "node:os";
import { expect, test } from "vitest";
import { threadMemoryMib, usableMemory } from "./usable-memory.ts";

const MIB = 2 ** 20;

test("a thread may use a quarter of the memory of a small container, and no more than it needs", () => {
  expect([64, 256, 512, 2048, 65_536].map((total) => threadMemoryMib(512, total * MIB))).toEqual([
    32, 64, 128, 512, 512,
  ]);
  expect(threadMemoryMib(128, 65_536 * MIB)).toBe(128);
});

test("the usable memory is at most that of the machine", () => {
  expect(usableMemory()).toBeGreaterThan(0);
  expect(usableMemory()).toBeLessThanOrEqual(totalmem());
});
