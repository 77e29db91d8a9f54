/**
 * Normalizes a secret from a variable or a file. Removes SP, HTAB, CR and LF at its ends, such as the line break that `echo`
 * writes. A list has one item per line, or commas between its items.
 */
export function secretText(text: string): string {
  return text
    .split(/\r?\n/)
    .map(trimSecret)
    .filter((line) => line !== "")
    .join(",");
}

/** A secret without surrounding blanks and line ends. Every other character is part of it. */
export function trimSecret(text: string): string {
  return text.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, "");
}
