import { expect, test } from "vitest";
import { addField, createHeadReading, finishHead } from "./request-head.ts";

test("of the names that come, only short ones are remembered, and not very many", () => {
  const reading = createHeadReading(1000);
  for (let i = 0; i < 1000; i++) {
    addField(reading, `x-${i}`, "", 0);
    addField(reading, `x-${i}-${"long".repeat(100)}`, "", 0);
    finishHead(reading);
  }
  expect(reading.names.size).toBe(256);
  expect(Math.max(...Array.from(reading.names, ({ length }) => length))).toBeLessThanOrEqual(64);
});

test("of a head that is too large, no name is judged: a byte of it can stand for kilobytes", () => {
  const reading = createHeadReading(1000);
  addField(reading, ":path", "/before", 7);
  addField(reading, "x-large", "", 1000);
  addField(reading, "x-behind", "1", 1);
  expect(reading.names.size).toBe(0);
  expect(finishHead(reading)).toMatchObject({ path: "/before", fault: "too_large" });
});

test("a field that may come once is judged once, however often a block repeats it", () => {
  const reading = createHeadReading(1000);
  addField(reading, ":path", "/first", 6);
  addField(reading, ":path", "/second", 7);
  expect(finishHead(reading)).toMatchObject({ path: "/first", fault: "malformed" });
});
