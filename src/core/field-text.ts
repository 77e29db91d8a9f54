/**
 * Removes the optional white space around a field value: SP and HTAB (RFC 9110 §5.5, §5.6.3). `String.trim` also removes NBSP,
 * BOM, CR and LF, so one key would have many spellings.
 */
export function trimOws(text: string): string {
  let [begin, end] = [0, text.length];
  while (isOws(text.charCodeAt(begin))) begin++;
  while (end > begin && isOws(text.charCodeAt(end - 1))) end--;
  return begin === 0 && end === text.length ? text : text.slice(begin, end);
}

function isOws(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** Converts only A to Z (RFC 9110 §5.1, RFC 3986 §3.2.2). Unicode rules would convert the Kelvin sign to `k`. */
export function asciiLowerCase(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
