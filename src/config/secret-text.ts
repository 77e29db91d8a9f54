/**
 * A secret as it counts, whether a variable holds it or a file: without SP, HTAB, CR and LF at its ends, such as the line break
 * that `echo` writes. A list has one item a line, or commas between.
 */
export function secretText(text: string): string {
  return text
    .split(/\r?\n/)
    .map(trimSecret)
    .filter((line) => line !== "")
    .join(",");
}

/** One secret without the blanks and line ends around it. Every other character is part of it. */
export function trimSecret(text: string): string {
  return text.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, "");
}
