import { trimOws } from "./field-text.ts";
import type { AuthRequest } from "./request.ts";
import { headerLines } from "./request.ts";

type Lines = Pick<AuthRequest, "headers">;

/**
 * The values of every cookie of this name (RFC 6265 §4.2.1), without quotes. A comma belongs to a value, except where
 * Envoy has joined the lines of the request with commas: there it may separate two lines, so a pair may begin after it.
 * `unreadable` stands for a cookie that only white space other than SP and HTAB tells from this one: upstream may read it as it.
 */
export function cookieValues(request: Lines, name: string, unreadable: string): readonly string[] {
  return headerLines(request, "cookie").flatMap((line) =>
    line.split(separators(request)).flatMap((part) => {
      if (nameOf(part) !== name) return isNamed(part, name) ? [unreadable] : [];
      const value = trimOws(part.slice(part.indexOf("=") + 1));
      return [value.replace(/^"(.*)"$/s, "$1")];
    }),
  );
}

/**
 * The Cookie header without the cookies of these names. Every other byte stays, in its order: servers put dates, JSON
 * and lists into their cookies. Several lines become one, as RFC 9113 §8.2.3 joins them. Undefined: none of these
 * cookies is there. Empty: nothing else is there.
 */
export function withoutCookies(request: Lines, names: ReadonlySet<string>): string | undefined {
  const lines = headerLines(request, "cookie");
  const separator = separators(request);
  const edited = lines.map((line) => withoutParts(line.split(separator), names));
  if (edited.every((text) => text === undefined)) return undefined;
  return edited
    .map((text, index) => text ?? lines[index] ?? "")
    .filter((text) => text !== "")
    .join("; ");
}

/**
 * A pair goes with the separator before it, the first one with the one after it.
 * @param pieces parts, and between them what separates them
 * @returns undefined where none of these names is there
 */
function withoutParts(pieces: readonly string[], names: ReadonlySet<string>): string | undefined {
  const parts = [...pieces.keys()].filter((at) => at % 2 === 0);
  const kept = parts.filter((at) => ![...names].some((name) => isNamed(pieces[at] ?? "", name)));
  if (kept.length === parts.length) return undefined;
  return trimOws(kept.map((at, place) => (place === 0 ? "" : pieces[at - 1]) + (pieces[at] ?? "")).join(""));
}

/** Captured, so that `split` gives the separators too. */
function separators({ headers }: Lines): RegExp {
  return headers.joined === true ? /([;,])/ : /(;)/;
}

/** Empty for a part without a name, or without `=`. */
function nameOf(part: string): string {
  const equals = part.indexOf("=");
  return equals < 1 ? "" : trimOws(part.slice(0, equals));
}

/** Whether some reader could take it for the cookie of this name. */
function isNamed(part: string, name: string): boolean {
  return nameOf(part).trim() === name;
}
