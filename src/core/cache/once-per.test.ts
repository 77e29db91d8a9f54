import { expect, test } from "vitest";
import { createOncePer } from "./once-per.ts";

test("each id is due once per period, independently of other ids", () => {
  let nowMs = 5;
  const once = createOncePer(1000, 10, () => nowMs);
  expect(once.isDue("a")).toBe(true);
  expect(once.isDue("a")).toBe(true);
  once.record("a");
  expect([once.isDue("a"), once.isDue("b")]).toEqual([false, true]);
  nowMs += 999;
  expect(once.isDue("a")).toBe(false);
  nowMs += 1;
  expect(once.isDue("a")).toBe(true);
});

test("a flood of other ids makes an id due again early, and never hides a due one", () => {
  const once = createOncePer(1000, 10, () => 0);
  once.record("a");
  for (let flood = 0; flood < 100; flood++) {
    expect(once.isDue(`b${flood}`)).toBe(true);
    once.record(`b${flood}`);
  }
  expect(once.isDue("a")).toBe(true);
});
