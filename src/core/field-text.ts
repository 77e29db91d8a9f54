/**
 * What a field value is without the optional white space around it: SP and HTAB (RFC 9110 §5.5, §5.6.3). `String.trim` would
 * also take NBSP, BOM, CR and LF, so that one key would have many spellings.
 */
export function trimOws(text: string): string {
  let [begin, end] = [0, text.length];
  while (begin < end && isOws(text.charCodeAt(begin))) begin++;
  while (end > begin && isOws(text.charCodeAt(end - 1))) end--;
  return begin === 0 && end === text.length ? text : text.slice(begin, end);
}

function isOws(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** Lower case of A to Z alone (RFC 9110 §5.1, RFC 3986 §3.2.2): Unicode would make a `k` of the Kelvin sign. */
export function asciiLowerCase(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
