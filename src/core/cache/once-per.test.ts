import { expect, test } from "vitest";
import { createOncePer } from "./once-per.ts";

test("an id is due once in each period, and others beside it", () => {
  let nowMs = 5;
  const once = createOncePer(1000, 10, () => nowMs);
  expect(once.isDue("a")).toBe(true);
  expect(once.isDue("a")).toBe(true);
  once.noted("a");
  expect([once.isDue("a"), once.isDue("b")]).toEqual([false, true]);
  nowMs += 999;
  expect(once.isDue("a")).toBe(false);
  nowMs += 1;
  expect(once.isDue("a")).toBe(true);
});

test("a flood of other ids makes an id due again, and never hides one", () => {
  const once = createOncePer(1000, 10, () => 0);
  once.noted("a");
  for (let flood = 0; flood < 100; flood++) {
    expect(once.isDue(`b${flood}`)).toBe(true);
    once.noted(`b${flood}`);
  }
  expect(once.isDue("a")).toBe(true);
});
