/**
 * The text of bytes that came from outside: a file, or an answer. A byte order mark at its beginning is ignored, as RFC 8259
 * §8.1 allows for JSON. Undefined: it is not UTF-8, and a text that is only like it would be another one.
 */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
