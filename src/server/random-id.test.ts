import { expect, test } from "vitest";
import { isKeyId } from "../core/keys/key-record.ts";
import { randomText } from "./random-id.ts";

const texts = Array.from({ length: 20_000 }, randomText);

test("a random text is 22 letters and digits, fits into a key id, and never repeats", () => {
  for (const text of texts) expect(text).toMatch(/^[A-Za-z0-9]{22}$/);
  expect(isKeyId(`basic_1800000000_${texts[0]}`)).toBe(true);
  expect(new Set(texts).size).toBe(texts.length);
});

test("no letter is likelier than another", () => {
  const counts = new Map<string, number>();
  for (const letter of texts.join("")) counts.set(letter, (counts.get(letter) ?? 0) + 1);
  const expected = (texts.length * 22) / 62;
  expect(counts.size).toBe(62);
  // A byte modulo 62 would make eight letters likelier by a quarter. Ten per cent are more than eight standard deviations.
  for (const count of counts.values()) expect(Math.abs(count / expected - 1)).toBeLessThan(0.1);
});
