/** Longer tokens are rejected before decoding. Our tokens have about 600 bytes. */
export const MAX_TOKEN_BYTES = 8192;

const SEGMENTS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/**
 * Splits a compact JWS into its three segments, or returns undefined if its encoding is not canonical. Decoders accept
 * padding, white space and unused bits (RFC 8725bis §3.14), so one token could have many spellings and bypass caches and
 * deny-lists.
 */
export function canonicalSegments(token: string): readonly [string, string, string] | undefined {
  // Groups of the pattern would create an object for each match.
  if (!SEGMENTS.test(token)) return undefined;
  const first = token.indexOf(".");
  const second = token.lastIndexOf(".");
  const header = token.slice(0, first);
  const payload = token.slice(first + 1, second);
  const signature = token.slice(second + 1);
  return isCanonical(header) && isCanonical(payload) && isCanonical(signature)
    ? [header, payload, signature]
    : undefined;
}

/** The last characters whose unused bits are zero, by the number of characters after the last group of four. */
const LAST_CHARACTERS: Readonly<Record<number, string>> = { 2: "AQgw", 3: "AEIMQUYcgkosw048" };

function isCanonical(segment: string): boolean {
  const rest = segment.length % 4;
  return rest === 0 || (LAST_CHARACTERS[rest]?.includes(segment.charAt(segment.length - 1)) ?? false);
}

/** Parses the JSON of a segment, or returns undefined. The caller rejects duplicate members. */
export function readSegment(segment: string): unknown {
  try {
    return JSON.parse(Buffer.from(segment, "base64url").toString("utf8"));
  } catch {
    return undefined;
  }
}

/** The clock tolerance for `iat` and `nbf` of our own tokens. `exp` has none. */
export const CLOCK_TOLERANCE_SECONDS = 5;
