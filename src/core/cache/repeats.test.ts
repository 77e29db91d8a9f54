import { expect, test } from "vitest";
import { createRepeats } from "./repeats.ts";

const key = (id: string) => ({ id });

test("an object is repeated from its second use on", () => {
  const isRepeated = createRepeats<{ id: string }>(({ id }) => id, 64);
  const [one, other] = [key("one"), key("another")];
  expect([one, one, other, one, other].map(isRepeated)).toEqual([false, true, false, true, true]);
});

test("another object with the same text is not a repetition", () => {
  const isRepeated = createRepeats<{ id: string }>(({ id }) => id, 64);
  expect([key("one"), key("one")].map(isRepeated)).toEqual([false, false]);
});

test("an object that lost its place counts as new, and takes it again", () => {
  const isRepeated = createRepeats<{ id: string }>(({ id }) => id, 1);
  const [one, other] = [key("one"), key("another")];
  expect([one, other, one, one].map(isRepeated)).toEqual([false, false, false, true]);
});

test("no more objects are remembered than there are places", () => {
  const isRepeated = createRepeats<{ id: string }>(({ id }) => id, 2);
  const keys = Array.from({ length: 100 }, (_, at) => key(`key-${at}`));
  expect(keys.filter(isRepeated)).toEqual([]);
  // The last one at each place is used first.
  expect(keys.toReversed().filter(isRepeated)).toHaveLength(2);
});
