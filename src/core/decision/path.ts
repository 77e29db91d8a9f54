/** A path that every party reads in the same way: percent-decoded once, re-encoded uniformly, without a trailing slash. */
export interface NormalPath {
  /** `/` and the joined segments. Normalisation is idempotent. */
  readonly path: string;
  readonly segments: readonly string[];
  /** The text after the first `?`, as it was sent; empty without a `?`. */
  readonly query: string;
}

/** Why a path is rejected. */
export type PathFault =
  | "not_absolute"
  | "forbidden_character"
  | "invalid_escape"
  | "escaped_separator"
  | "double_encoding"
  | "dot_segment"
  | "empty_segment"
  | "path_params";

export type PathResult =
  | { readonly ok: true; readonly value: NormalPath }
  | { readonly ok: false; readonly fault: PathFault };

/**
 * How to handle `;params` in a segment (RFC 3986 §3.3). `strip` ignores them for matching. They stay in the request. An escaped
 * semicolon in the name before them is always rejected: one upstream reads it as a part of the name, another one as the end.
 */
export type PathParams = "reject" | "strip";

// RFC 3986 pchar without percent-encoding and without ";": these stand for themselves, escaped or not.
const PLAIN_SEGMENT = /^[A-Za-z0-9\-._~!$&'()*+,=:@]+$/;
const INVALID_ESCAPE = /%(?![0-9A-Fa-f]{2})/;
const ESCAPED_SEPARATOR = /%(?:2f|5c|00)/i;
const ESCAPE = /%[0-9A-Fa-f]{2}/;
const ESCAPED_SEMICOLON = /^[^;]*%3b/i;

/**
 * Normalises a request target in origin form, as Envoy sends it. An ambiguous path is rejected, never repaired, because the
 * upstream may repair it in another way.
 */
export function normalisePath(target: string, pathParams: PathParams): PathResult {
  const mark = target.indexOf("?");
  const raw = mark === -1 ? target : target.slice(0, mark);
  const query = mark === -1 ? "" : target.slice(mark + 1);
  if (!raw.startsWith("/")) return { ok: false, fault: "not_absolute" };
  const segments: string[] = [];
  const parts = raw.slice(1).split("/");
  for (const [index, part] of parts.entries()) {
    if (part === "" && index === parts.length - 1) break;
    const segment = normaliseSegment(part, pathParams);
    if (!segment.ok) return segment;
    segments.push(segment.value);
  }
  return { ok: true, value: { path: `/${segments.join("/")}`, segments, query } };
}

type SegmentResult =
  | { readonly ok: true; readonly value: string }
  | { readonly ok: false; readonly fault: PathFault };

function normaliseSegment(part: string, pathParams: PathParams): SegmentResult {
  if (part === "") return { ok: false, fault: "empty_segment" };
  if (PLAIN_SEGMENT.test(part))
    return part === "." || part === ".." ? { ok: false, fault: "dot_segment" } : { ok: true, value: part };
  const fault = faultInEscapes(part);
  if (fault !== undefined) return { ok: false, fault };
  const decoded = decodeOnce(part);
  if (decoded === undefined) return { ok: false, fault: "invalid_escape" };
  if (ESCAPE.test(decoded)) return { ok: false, fault: "double_encoding" };
  if (hasControl(decoded)) return { ok: false, fault: "forbidden_character" };
  const semicolon = decoded.indexOf(";");
  const kept = semicolon === -1 ? decoded : decoded.slice(0, semicolon);
  if (kept === "." || kept === "..") return { ok: false, fault: "dot_segment" };
  if (semicolon !== -1 && (pathParams === "reject" || ESCAPED_SEMICOLON.test(part)))
    return { ok: false, fault: "path_params" };
  if (kept === "") return { ok: false, fault: "empty_segment" };
  return { ok: true, value: PLAIN_SEGMENT.test(kept) ? kept : encodeOnce(kept) };
}

function faultInEscapes(part: string): PathFault | undefined {
  if (INVALID_ESCAPE.test(part)) return "invalid_escape";
  if (ESCAPED_SEPARATOR.test(part)) return "escaped_separator";
  for (let i = 0; i < part.length; i++) {
    const code = part.charCodeAt(i);
    if (code <= 0x20 || code >= 0x7f || code === 0x5c || code === 0x23) return "forbidden_character";
  }
  return undefined;
}

function decodeOnce(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined; // Escapes that are not UTF-8 are ambiguous.
  }
}

function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return true;
  }
  return false;
}

/** encodeURIComponent escapes some characters that a segment may contain unescaped (RFC 3986 pchar). */
function encodeOnce(segment: string): string {
  return encodeURIComponent(segment).replace(/%(24|26|2B|2C|3A|3D|40)/g, decodeURIComponent);
}
