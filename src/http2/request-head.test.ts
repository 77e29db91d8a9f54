import { expect, test } from "vitest";
import {
  addField,
  createHeaderValidator,
  createSingleFields,
  finishHead,
  resetValidator,
} from "./request-head.ts";

test("only short names are cached, and not more than 256", () => {
  const validator = createHeaderValidator(1000, createSingleFields([]));
  for (let i = 0; i < 1000; i++) {
    addField(validator, `x-${i}`, "", 0);
    addField(validator, `x-${i}-${"long".repeat(100)}`, "", 0);
    finishHead(validator);
    resetValidator(validator);
  }
  expect(validator.validNames.size).toBe(256);
  expect(Math.max(...Array.from(validator.validNames, ({ length }) => length))).toBeLessThanOrEqual(64);
});

test("names are not validated in a head that is too large, because a byte of it can stand for kilobytes", () => {
  const validator = createHeaderValidator(1000, createSingleFields([]));
  addField(validator, ":path", "/before", 7);
  addField(validator, "x-large", "", 1000);
  addField(validator, "x-behind", "1", 1);
  expect(validator.validNames.size).toBe(0);
  expect(finishHead(validator)).toMatchObject({ path: "/before", fault: "too_large" });
});

test("a single field that a block repeats keeps its first value, and the head is malformed", () => {
  const validator = createHeaderValidator(1000, createSingleFields([]));
  addField(validator, ":path", "/first", 6);
  addField(validator, ":path", "/second", 7);
  expect(finishHead(validator)).toMatchObject({ path: "/first", fault: "malformed" });
});

test("a head never has a value of the request before it", () => {
  const validator = createHeaderValidator(1000, createSingleFields(["x-first", "x-second"]));
  const whole = [":method", ":path", ":scheme", "x-first", "x-second"] as const;
  for (const name of whole) addField(validator, name, "old", 3);
  addField(validator, "content-length", "3", 1);
  expect(finishHead(validator)).toMatchObject({ path: "old", contentLength: 3, fields: ["old", "old"] });
  resetValidator(validator);
  addField(validator, "x-second", "new", 3);
  expect(finishHead(validator)).toEqual({
    method: "",
    path: "",
    contentLength: undefined,
    fields: [undefined, "new"],
    fault: "malformed",
  });
});
