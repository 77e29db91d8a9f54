/** Characters that are not seen, and that change how the text around them is seen. Tabs and line ends are text. */
const HIDDEN = /(?![\t\r\n])[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** Writes characters that cannot be seen, such as marks of the writing direction, by their number: `\u{202e}`. */
export function visibleText(text: string): string {
  return text.replace(HIDDEN, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}
