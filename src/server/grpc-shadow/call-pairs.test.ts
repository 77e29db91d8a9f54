import { expect, test } from "vitest";
import { createCallPairs } from "./call-pairs.ts";

test("calls of the two servers with equal content are pairs, the oldest first", () => {
  const pairs = createCallPairs<string, string>();
  expect(pairs.pairOurs("a", "our 1", 1)).toBeUndefined();
  expect(pairs.pairOurs("a", "our 2", 2)).toBeUndefined();
  expect(pairs.pairTheirs("b", "their b")).toBeUndefined();
  expect(pairs.size()).toBe(3);
  expect([pairs.pairTheirs("a", "x"), pairs.pairTheirs("a", "x"), pairs.pairOurs("b", "x", 3)]).toEqual([
    "our 1",
    "our 2",
    "their b",
  ]);
  expect(pairs.size()).toBe(0);
  expect(pairs.takeAll()).toEqual([]);
});

test("a call without the other one is late after 30 sweeps of what the other server has taken, and not before", () => {
  const pairs = createCallPairs<string, string>();
  const lateAfter = (sweeps: number, taken: number) =>
    Array.from({ length: sweeps }, () => pairs.takeLate(taken).length);
  pairs.pairOurs("a", "first", 5);
  expect(lateAfter(100, 4)).not.toContain(1);
  expect(pairs.undelivered(4)).toBe(0);
  expect(pairs.undelivered(5)).toBe(1);
  const late = lateAfter(10, 5);
  pairs.pairOurs("a", "second", 6);
  late.push(...lateAfter(40, 6));
  expect(late.indexOf(1)).toBe(30);
  expect(late.lastIndexOf(1)).toBe(40);
  expect(late.filter((calls) => calls > 0)).toEqual([1, 1]);
  expect(pairs.size()).toBe(0);
});
