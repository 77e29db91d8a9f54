import { expect, test } from "vitest";
import { hasAtMostCharacters, MAX_KEY_NAME_CHARACTERS } from "./key-name.ts";

test.each([
  ["a", 128, true],
  ["a", 129, false],
  ["🔑", 64, true],
  ["🔑", 65, true],
  ["🔑", 128, true],
  ["🔑", 129, false],
])("a name of %s, %i times, is short enough: %s", (character, times, isShort) => {
  expect(hasAtMostCharacters(character.repeat(times), MAX_KEY_NAME_CHARACTERS)).toBe(isShort);
});
