/** Encodes the position after which a list continues as one opaque text of a URL. */
export function encodeCursor(position: readonly string[]): string {
  return Buffer.from(JSON.stringify(position)).toString("base64url");
}

/** Undefined for a text that `encodeCursor` does not return for a position of two parts. */
export function decodeCursor(cursor: string): readonly [string, string] | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
    const [first, second]: readonly unknown[] = Array.isArray(parsed) ? parsed : [];
    if (typeof first !== "string" || typeof second !== "string") return undefined;
    return encodeCursor([first, second]) === cursor ? [first, second] : undefined;
  } catch {
    return undefined;
  }
}
