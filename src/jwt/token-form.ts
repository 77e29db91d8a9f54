/** Longer tokens of ours are refused before anything is decoded. They have some 600 bytes. */
export const MAX_TOKEN_BYTES = 8192;

const SEGMENTS = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;

/**
 * The three segments of a compact JWS in its one canonical spelling, or undefined. Decoders forgive padding,
 * white space and unused bits (RFC 8725bis §3.14): one token with many spellings would dodge caches and deny-lists.
 */
export function canonicalSegments(token: string): readonly [string, string, string] | undefined {
  const match = SEGMENTS.exec(token);
  if (match === null) return undefined;
  const [, header = "", payload = "", signature = ""] = match;
  return [header, payload, signature].every(isCanonical) ? [header, payload, signature] : undefined;
}

function isCanonical(segment: string): boolean {
  return Buffer.from(segment, "base64url").toString("base64url") === segment;
}

/** The JSON of a segment; undefined when it holds none. Members that stand twice and the like are the caller's to refuse. */
export function readSegment(segment: string): unknown {
  try {
    return JSON.parse(Buffer.from(segment, "base64url").toString("utf8"));
  } catch {
    return undefined;
  }
}

/** For our own tokens clocks may differ by this much for `iat` and `nbf`; `exp` is exact. */
export const CLOCK_TOLERANCE_SECONDS = 5;
