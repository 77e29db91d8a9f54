/**
 * Decodes bytes of a file or a response. Ignores a byte order mark, as RFC 8259 §8.1 allows for JSON. Returns undefined for invalid
 * UTF-8, because a repaired text would be another text.
 */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
