import { expect, test } from "vitest";
import { createCallPairs } from "./call-pairs.ts";

test("calls of the two servers with equal content are pairs, the oldest first", () => {
  const pairs = createCallPairs<string, string>();
  expect(pairs.pairOurs("a", "our 1")).toBeUndefined();
  expect(pairs.pairOurs("a", "our 2")).toBeUndefined();
  expect(pairs.pairTheirs("b", "their b")).toBeUndefined();
  expect(pairs.size()).toBe(3);
  expect([pairs.pairTheirs("a", "x"), pairs.pairTheirs("a", "x"), pairs.pairOurs("b", "x")]).toEqual([
    "our 1",
    "our 2",
    "their b",
  ]);
  expect(pairs.size()).toBe(0);
  expect(pairs.takeAll()).toEqual([]);
});

test("a call without the other one is late after 15 sweeps, and not before", () => {
  const pairs = createCallPairs<string, string>();
  pairs.pairOurs("a", "first");
  const late = Array.from({ length: 10 }, () => pairs.takeLate().length);
  pairs.pairOurs("a", "second");
  late.push(...Array.from({ length: 20 }, () => pairs.takeLate().length));
  expect(late.indexOf(1)).toBe(15);
  expect(late.lastIndexOf(1)).toBe(25);
  expect(late.filter((calls) => calls > 0)).toEqual([1, 1]);
  expect(pairs.size()).toBe(0);
});
