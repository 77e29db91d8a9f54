import { trimOws } from "../field-text.ts";
import type { AuthRequest } from "./request.ts";
import { headerLines } from "./request.ts";

type Lines = Pick<AuthRequest, "headers">;

/** The text between two separators of a line. `to` is exclusive. */
interface Part {
  readonly from: number;
  readonly to: number;
}

/**
 * The values of every cookie of this name (RFC 6265 §4.2.1), without quotes. A comma belongs to a value, unless Envoy has joined
 * the header lines with commas: then it may separate two lines, so a pair may begin after it.
 * @param unreadable the value of a cookie whose name differs from this one only by white space other than SP and HTAB, because
 * the upstream may read it as this one. Also the one value of a line with more than `max` of these cookies
 */
export function cookieValues(
  request: Lines,
  name: string,
  { unreadable, max }: { readonly unreadable: string; readonly max: number },
): readonly string[] {
  const names = new Set([name]);
  return headerLines(request, "cookie").flatMap((line) => {
    const parts = namedParts(line, names, request);
    return parts.length > max
      ? [unreadable]
      : parts.map((part) => cookieValue(line, part, name) ?? unreadable);
  });
}

/** Undefined if the name is this one only for parsers that trim more than SP and HTAB. */
function cookieValue(line: string, { from, to }: Part, name: string): string | undefined {
  const equals = line.indexOf("=", from);
  if (trimOws(line.slice(from, equals)) !== name) return undefined;
  return trimOws(line.slice(equals + 1, to)).replace(/^"(.*)"$/s, "$1");
}

/**
 * The Cookie header without the cookies of these names. Every other byte stays in its order, because servers put dates, JSON and
 * lists into cookies. Several lines become one, joined as in RFC 9113 §8.2.3.
 * @returns undefined if the request has none of these cookies, an empty string if it has no others
 */
export function withoutCookies(request: Lines, names: ReadonlySet<string>): string | undefined {
  const lines = headerLines(request, "cookie");
  const edited = lines.map((line) => withoutParts(line, namedParts(line, names, request)));
  if (edited.every((text) => text === undefined)) return undefined;
  return edited
    .map((text, index) => text ?? lines[index] ?? "")
    .filter((text) => text !== "")
    .join("; ");
}

/**
 * Removes each part with the separator before it, the first part with the one after it.
 * @returns undefined if there is nothing to remove
 */
function withoutParts(line: string, removed: readonly Part[]): string | undefined {
  if (removed.length === 0) return undefined;
  let kept: string | undefined;
  /** Where the next part begins. */
  let next = 0;
  for (const { from, to } of [...removed, { from: line.length + 1, to: line.length + 1 }]) {
    if (from > next)
      kept = kept === undefined ? line.slice(next, from - 1) : kept + line.slice(next - 1, from - 1);
    next = to + 1;
  }
  return trimOws(kept ?? "");
}

/**
 * The parts of a line that some parser could read as a cookie of one of these names, which are tokens. A line can have as many
 * parts as characters, so no object is created for the others.
 */
function namedParts(line: string, names: ReadonlySet<string>, { headers }: Lines): readonly Part[] {
  const found: Part[] = [];
  if (![...names].some((name) => line.includes(name))) return found;
  const isJoined = headers.joined === true;
  for (let from = 0; from <= line.length; ) {
    const to = partEnd(line, from, isJoined);
    const first = skipSpace(line, from);
    for (const name of names) if (isNamed(line, first, name)) found.push({ from, to });
    from = to + 1;
  }
  return found;
}

/** The index of the next separator, or of the end. */
function partEnd(line: string, from: number, isJoined: boolean): number {
  for (let at = from; at < line.length; at++) {
    const code = line.charCodeAt(at);
    if (code === SEMICOLON || (isJoined && code === COMMA)) return at;
  }
  return line.length;
}

/** A name contains no separator and no white space, so it cannot extend into the next part. */
function isNamed(line: string, first: number, name: string): boolean {
  return line.startsWith(name, first) && line[skipSpace(line, first + name.length)] === "=";
}

/** The index of the next character that `String.trim` would keep. */
function skipSpace(line: string, from: number): number {
  let at = from;
  while (at < line.length && isSpace(line.charCodeAt(at))) at++;
  return at;
}

function isSpace(code: number): boolean {
  if (code <= SPACE) return code === SPACE || (code >= HTAB && code <= CR);
  return code >= NBSP && String.fromCharCode(code).trim() === "";
}

const [HTAB, CR, SPACE, COMMA, SEMICOLON, NBSP] = [0x09, 0x0d, 0x20, 0x2c, 0x3b, 0xa0] as const;
