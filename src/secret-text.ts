/**
 * A secret as it counts, whether a variable holds it or a file: without white space at its ends, such as the line break that
 * `echo` writes. A list has one item a line, or commas between.
 */
export function secretText(text: string): string {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .join(",");
}
