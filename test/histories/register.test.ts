import { expect, test } from "vitest";
import type { RegisterOperation } from "./register.ts";
import { isLinearizable } from "./register.ts";

const write = (value: string, sentMs: number, ackedMs = Number.POSITIVE_INFINITY): RegisterOperation => ({
  kind: "write",
  value,
  sentMs,
  ackedMs,
});
const read = (value: string, sentMs: number, ackedMs: number): RegisterOperation => ({
  ...write(value, sentMs, ackedMs),
  kind: "read",
});

test.each([
  ["a read after a write finds it", [write("a", 1, 2), read("a", 3, 4)]],
  ["a read during a write finds it or not", [write("a", 1, 5), read("first", 2, 3), read("a", 6, 7)]],
  [
    "a write without an answer may have been carried out later",
    [write("a", 1), read("first", 2, 3), read("a", 4, 5)],
  ],
  ["a write without an answer may never have been carried out", [write("a", 1), read("first", 2, 3)]],
  [
    "writes at the same time have some order",
    [write("a", 1, 9), write("b", 1, 9), read("b", 2, 3), read("a", 10, 11)],
  ],
])("has an order: %s", (_, operations) => {
  expect(isLinearizable("first", operations)).toBe(true);
});

test.each([
  ["a lost write", [write("a", 1, 2), read("first", 3, 4)]],
  ["a stale read", [write("a", 1, 2), write("b", 3, 4), read("a", 5, 6)]],
  [
    "a write that comes back",
    [write("a", 1), read("a", 2, 3), write("b", 4, 5), read("b", 6, 7), read("a", 8, 9)],
  ],
  ["a value that nobody wrote", [read("x", 1, 2)]],
])("has no order: %s", (_, operations) => {
  expect(isLinearizable("first", operations)).toBe(false);
});
