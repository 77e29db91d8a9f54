import { trimOws } from "../field-text.ts";
import { cookieValues } from "./cookies.ts";
import type { AuthRequest } from "./request.ts";
import { headerLines } from "./request.ts";

/** Where the policy accepts a key, as `headers.credential` names it. */
export type CredentialSource = "authorization" | "x-api-key" | `cookie:${string}` | `query:${string}`;

/** The parts of a request that can contain a key. */
export interface Presentable extends Pick<AuthRequest, "headers"> {
  readonly path?: Pick<AuthRequest["path"], "query">;
}

/** The credentials of a request: none, one key, or something that two parsers could read as different keys. */
export type Presented =
  | { readonly kind: "none" }
  | { readonly kind: "one"; readonly token: string; readonly source: CredentialSource }
  | { readonly kind: "ambiguous" };

const NONE: Presented = { kind: "none" };
const AMBIGUOUS: Presented = { kind: "ambiguous" };

// RFC 6750 §2.1 b64token. Envoy joins header lines with a comma, so a comma never belongs to one key.
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;
const BEARER = /^bearer(?: +|$)/i;
const JOINED_BEARER = /,[ \t]*bearer\b/i;

/**
 * Finds the one key of a request. Two keys, or a malformed one, are ambiguous (RFC 6750 §2, §3.1). An `Authorization` header of
 * any scheme beside another key counts as two keys.
 */
export function presentedCredential(request: Presentable, sources: readonly CredentialSource[]): Presented {
  let found: Presented = NONE;
  let lines = 0;
  for (const source of sources) {
    for (const line of linesOf(request, source)) {
      const value = queryName(source) === undefined ? trimOws(line) : line;
      if (value === "") continue;
      lines++;
      found = source === "authorization" ? fromAuthorization(value) : fromToken(value, source);
    }
  }
  return lines > 1 ? AMBIGUOUS : found;
}

/** Whether a key has the three parts of a JWT (RFC 7519 §3). No accepted V1 key has. */
export function hasThreeParts(key: string): boolean {
  const first = key.indexOf(".");
  const second = first === -1 ? -1 : key.indexOf(".", first + 1);
  return second !== -1 && !key.includes(".", second + 1);
}

/** The name of the cookie; undefined for another source. */
export function cookieName(source: CredentialSource): string | undefined {
  return source.startsWith("cookie:") ? source.slice("cookie:".length) : undefined;
}

/** The name of the query parameter; undefined for another source. */
export function queryName(source: CredentialSource): string | undefined {
  return source.startsWith("query:") ? source.slice("query:".length) : undefined;
}

/** All values of one source. */
function linesOf(request: Presentable, source: CredentialSource): readonly string[] {
  const cookie = cookieName(source);
  if (cookie !== undefined) return cookieValues(request, cookie, { unreadable: UNREADABLE, max: MAX_VALUES });
  const query = queryName(source);
  return query === undefined ? headerLines(request, source) : parametersOf(request.path?.query ?? "", query);
}

/**
 * The values of one query parameter. Envoy removes it by its plain name. A name that only decodes to it would reach the upstream,
 * so it counts as a malformed key.
 */
function parametersOf(query: string, name: string): readonly string[] {
  const values: string[] = [];
  // A query can have a parameter for every two characters, so no object is created for those with another name.
  for (let from = 0; from < query.length; ) {
    const next = query.indexOf("&", from);
    const to = next === -1 ? query.length : next;
    const end = nameEnd(query, from, to, name);
    if (end !== undefined) {
      const isPlain = end - from === name.length;
      values.push(isPlain ? decoded(query.slice(end + 1, to)) : UNREADABLE);
      if (values.length > MAX_VALUES) return [UNREADABLE];
    }
    from = to + 1;
  }
  return values;
}

/** The end of the parameter's name if it is this name or decodes to it. */
function nameEnd(query: string, from: number, to: number, name: string): number | undefined {
  if (to - from < name.length) return undefined;
  let at = from;
  for (let index = 0; index < name.length; index++) {
    if (at < to && query.charCodeAt(at) === name.charCodeAt(index)) at++;
    else if (query[at] === "%" && Number.parseInt(query.slice(at + 1, at + 3), 16) === name.charCodeAt(index))
      at += 3;
    else return undefined;
  }
  return at === to || query[at] === "=" ? at : undefined;
}

/** Not a valid form of a key. */
const UNREADABLE = "%";
/** Cookies or parameters of one name. No client sends more, even empty ones. */
const MAX_VALUES = 16;

/** Undecodable text becomes an invalid form of a key. */
function decoded(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return UNREADABLE;
  }
}

/** Another scheme than Bearer is not a key, unless Envoy has joined a Bearer line to it. */
function fromAuthorization(value: string): Presented {
  // A match would be one more object for each request.
  if (!BEARER.test(value)) return JOINED_BEARER.test(value) ? AMBIGUOUS : NONE;
  let start = "bearer".length;
  while (value[start] === " ") start++;
  return fromToken(value.slice(start), "authorization");
}

function fromToken(token: string, source: CredentialSource): Presented {
  if (token === "") return NONE;
  return TOKEN.test(token) ? { kind: "one", token, source } : AMBIGUOUS;
}
