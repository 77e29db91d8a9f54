import { expect, test } from "vitest";
import { createHeadReading, finishHead, MAX_HEAD_BYTES, readField } from "./request-head.ts";

test("of the names that come, only short ones are remembered, and not very many", () => {
  const reading = createHeadReading();
  for (let i = 0; i < 1000; i++) {
    readField(reading, `x-${i}`, "");
    readField(reading, `x-${i}-${"long".repeat(100)}`, "");
    finishHead(reading);
  }
  expect(reading.names.size).toBe(256);
  expect(Math.max(...Array.from(reading.names, ({ length }) => length))).toBeLessThanOrEqual(64);
});

test("a head that is too large is not looked at any further: a byte of it can stand for kilobytes", () => {
  const reading = createHeadReading();
  readField(reading, "x-large", "v".repeat(MAX_HEAD_BYTES));
  readField(reading, ":path", "/behind");
  readField(reading, "x-behind", "1");
  expect(reading.head.path).toBe("");
  expect(reading.names.size).toBe(0);
  expect(finishHead(reading)).toBe("too_large");
});
