import { expect, test } from "vitest";
import { createClockCache } from "./clock-cache.ts";

function filled(max: number, dropped?: (value: number) => void) {
  const recent = createClockCache<string, number>(max, dropped);
  for (let i = 0; i < max; i++) recent.set(`k${i}`, i);
  return recent;
}

test("it never holds more than it may, and the oldest unused one goes first", () => {
  const gone: number[] = [];
  const recent = filled(3, (value) => gone.push(value));
  recent.get("k0");
  recent.set("new", 9);
  expect(gone).toEqual([1]);
  expect([...recent.entries()].map(([key]) => key).sort()).toEqual(["k0", "k2", "new"]);
});

test("where all are used one goes all the same, after a bounded walk", () => {
  const recent = filled(1000);
  for (let i = 0; i < 1000; i++) recent.get(`k${i}`);
  recent.set("new", 9);
  expect([...recent.entries()]).toHaveLength(1000);
  // The sixteen before it had their second chance.
  expect(recent.get("k16")).toBeUndefined();
  expect(recent.get("k0")).toBe(0);
});

test("what is set again has its new value and its old place", () => {
  const recent = filled(2);
  recent.set("k0", 7);
  recent.set("new", 9);
  expect([...recent.entries()]).toEqual([
    ["k1", 1],
    ["new", 9],
  ]);
});

test("what is deleted is not told of", () => {
  const gone: number[] = [];
  const recent = filled(2, (value) => gone.push(value));
  recent.delete("k0");
  expect(recent.get("k0")).toBeUndefined();
  recent.clear();
  expect([...recent.entries()]).toEqual([]);
  expect(gone).toEqual([]);
});

test("places that were deleted are used again, and all of it can be cleared", () => {
  const recent = filled(3);
  for (let i = 0; i < 100; i++) {
    recent.delete("k1");
    recent.set("k1", i);
  }
  expect([...recent.entries()]).toHaveLength(3);
  expect(recent.get("k0")).toBe(0);
  recent.clear();
  for (let i = 0; i < 5; i++) recent.set(`n${i}`, i);
  expect([...recent.entries()]).toHaveLength(3);
});
