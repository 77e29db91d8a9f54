import { expect, test } from "vitest";
import { asciiLowerCase, trimOws } from "./field-text.ts";

test.each([
  ["", ""],
  [" \t ", ""],
  ["\t a b \t", "a b"],
  ["\ta", "a"],
  ["a ", "a"],
  ["\u00a0a\ufeff", "\u00a0a\ufeff"],
  ["a\r\n", "a\r\n"],
  ["\va\u2003", "\va\u2003"],
])("only SP and HTAB are trimmed around %j", (text, trimmed) => {
  expect(trimOws(text)).toBe(trimmed);
});

test("only ASCII letters are converted to lower case", () => {
  expect(asciiLowerCase("API.Example.COM")).toBe("api.example.com");
  expect(asciiLowerCase("\u212aeys.\u0130")).toBe("\u212aeys.\u0130");
});
