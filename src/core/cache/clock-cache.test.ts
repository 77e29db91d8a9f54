import { expect, test } from "vitest";
import { createClockCache } from "./clock-cache.ts";

function filled(max: number, onEvict?: (value: number) => void) {
  const cache = createClockCache<string, number>(max, onEvict);
  for (let i = 0; i < max; i++) cache.set(`k${i}`, i);
  return cache;
}

test("the cache evicts the oldest unused entry at its maximum", () => {
  const evicted: number[] = [];
  const cache = filled(3, (value) => evicted.push(value));
  cache.get("k0");
  cache.set("new", 9);
  expect(evicted).toEqual([1]);
  expect([...cache.entries()].map(([key]) => key).sort()).toEqual(["k0", "k2", "new"]);
});

test("if all entries are used, one is evicted after a bounded walk", () => {
  const cache = filled(1000);
  for (let i = 0; i < 1000; i++) cache.get(`k${i}`);
  cache.set("new", 9);
  expect([...cache.entries()]).toHaveLength(1000);
  // The sixteen entries before it got their second chance.
  expect(cache.get("k16")).toBeUndefined();
  expect(cache.get("k0")).toBe(0);
});

test("an entry that is set again has its new value and its old place", () => {
  const cache = filled(2);
  cache.set("k0", 7);
  cache.set("new", 9);
  expect([...cache.entries()]).toEqual([
    ["k1", 1],
    ["new", 9],
  ]);
});

test("a cache that is full of used entries evicts them in their order, as if none had been used", () => {
  const evicted: number[] = [];
  const cache = filled(3, (value) => evicted.push(value));
  for (const key of ["k0", "k1", "k2"]) cache.get(key);
  cache.set("n0", 10);
  cache.set("n1", 11);
  cache.set("n2", 12);
  expect(evicted).toEqual([0, 1, 2]);
});

test("no entry is evicted before the cache is full", () => {
  const evicted: number[] = [];
  filled(3, (value) => evicted.push(value));
  expect(evicted).toEqual([]);
});

test("an entry that is deleted leaves its place to the next one, and evicts nothing", () => {
  const evicted: number[] = [];
  const cache = filled(3, (value) => evicted.push(value));
  cache.delete("k1");
  cache.delete("unknown");
  cache.set("new", 9);
  expect(evicted).toEqual([]);
  expect([...cache.entries()].map(([key]) => key)).toEqual(["k0", "k2", "new"]);
  cache.set("newer", 10);
  expect(evicted).toEqual([0]);
  for (let i = 0; i < 10; i++) cache.set(`n${i}`, i);
  expect([...cache.entries()]).toHaveLength(3);
});

test("a deletion does not call onEvict", () => {
  const evicted: number[] = [];
  const cache = filled(2, (value) => evicted.push(value));
  cache.delete("k0");
  expect(cache.get("k0")).toBeUndefined();
  cache.clear();
  expect([...cache.entries()]).toEqual([]);
  expect(evicted).toEqual([]);
});

test("places of deleted entries are reused, and the cache can be cleared", () => {
  const cache = filled(3);
  for (let i = 0; i < 100; i++) {
    cache.delete("k1");
    cache.set("k1", i);
  }
  expect([...cache.entries()]).toHaveLength(3);
  expect(cache.get("k0")).toBe(0);
  cache.clear();
  for (let i = 0; i < 5; i++) cache.set(`n${i}`, i);
  expect([...cache.entries()]).toHaveLength(3);
});
