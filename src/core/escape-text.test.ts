import { describe, expect, test } from "vitest";
import { escapeUnsafe, visible } from "./escape-text.ts";

describe("JSON text", () => {
  test.each([
    "",
    "key",
    " ~",
    "\u001b[31m",
    "ü",
    "日本",
    "🔑",
    "\u007f",
    "\u0085",
    "\u009f",
    "\u202e",
    "\u2028",
    "\u2029",
    "\ufeff",
    "\u{e0001}",
    "a\u200db",
  ])("of %j is one line without control characters, and has the same value", (text) => {
    const json = escapeUnsafe(JSON.stringify(text));
    expect(json).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u);
    expect(JSON.parse(json)).toBe(text);
  });

  test("keeps what is visible, and escapes each unit of the rest with four digits", () => {
    expect(escapeUnsafe('"ü 🔑"')).toBe('"ü 🔑"');
    expect(escapeUnsafe('"\u007f\u202e\u{e0001}"')).toBe('"\\u007f\\u202e\\udb40\\udc01"');
  });
});

describe("a text for a terminal", () => {
  test.each([
    ["a name", "a name"],
    ["ü 🔑", "ü 🔑"],
    ["\u001b[31mred\n", "\\u{1b}[31mred\\u{a}"],
    ["a\u202eb\u2028c\u2029d", "a\\u{202e}b\\u{2028}c\\u{2029}d"],
    ["\u{e0001}", "\\u{e0001}"],
  ])("%j becomes %j", (text, shown) => {
    expect(visible(text)).toBe(shown);
  });
});
