import { trimOws } from "../field-text.ts";
import type { AuthRequest } from "./request.ts";
import { headerLines } from "./request.ts";

type Lines = Pick<AuthRequest, "headers">;

/** What stands between two separators of a line: from the first of its characters to behind the last one. */
interface Part {
  readonly from: number;
  readonly to: number;
}

/**
 * The values of every cookie of this name (RFC 6265 §4.2.1), without quotes. A comma belongs to a value, except where
 * Envoy has joined the lines of the request with commas: there it may separate two lines, so a pair may begin after it.
 * `unreadable` stands for a cookie that only white space other than SP and HTAB tells from this one: upstream may read it as
 * it. It also stands for all of them in a line that has more than `max`.
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

/** Undefined: its name is this one only for readers who trim more than SP and HTAB. */
function cookieValue(line: string, { from, to }: Part, name: string): string | undefined {
  const equals = line.indexOf("=", from);
  if (trimOws(line.slice(from, equals)) !== name) return undefined;
  return trimOws(line.slice(equals + 1, to)).replace(/^"(.*)"$/s, "$1");
}

/**
 * The Cookie header without the cookies of these names. Every other byte stays, in its order: servers put dates, JSON
 * and lists into their cookies. Several lines become one, as RFC 9113 §8.2.3 joins them. Undefined: none of these
 * cookies is there. Empty: nothing else is there.
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
 * A part goes with the separator before it, the first one with the one after it.
 * @returns undefined where no part goes
 */
function withoutParts(line: string, gone: readonly Part[]): string | undefined {
  if (gone.length === 0) return undefined;
  let kept: string | undefined;
  /** Where the next part begins. */
  let next = 0;
  for (const { from, to } of [...gone, { from: line.length + 1, to: line.length + 1 }]) {
    if (from > next)
      kept = kept === undefined ? line.slice(next, from - 1) : kept + line.slice(next - 1, from - 1);
    next = to + 1;
  }
  return trimOws(kept ?? "");
}

/**
 * The parts of a line that some reader could take for a cookie of one of these names, which have the form of a token. A line
 * can have as many parts as characters, so nothing is made of the others.
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

/** The place of the next separator, or of the end. */
function partEnd(line: string, from: number, isJoined: boolean): number {
  for (let at = from; at < line.length; at++) {
    const code = line.charCodeAt(at);
    if (code === SEMICOLON || (isJoined && code === COMMA)) return at;
  }
  return line.length;
}

/** No name has a separator or white space in it, so that it cannot reach into the next part. */
function isNamed(line: string, first: number, name: string): boolean {
  return line.startsWith(name, first) && line[skipSpace(line, first + name.length)] === "=";
}

/** The next character that `String.trim` would leave. */
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
