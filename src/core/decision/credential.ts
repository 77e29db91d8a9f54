import { trimOws } from "../field-text.ts";
import { cookieValues } from "./cookies.ts";
import type { AuthRequest } from "./request.ts";
import { headerLines } from "./request.ts";

/** Where a policy lets a key be presented, as `headers.credential` names it. */
export type CredentialSource = "authorization" | "x-api-key" | `cookie:${string}` | `query:${string}`;

/** What a key can stand in. */
export interface Presentable extends Pick<AuthRequest, "headers"> {
  readonly path?: Pick<AuthRequest["path"], "query">;
}

/** What a request presents: nothing, one key, or something that two readers could take for two keys. */
export type Presented =
  | { readonly kind: "none" }
  | { readonly kind: "one"; readonly token: string; readonly source: CredentialSource }
  | { readonly kind: "ambiguous" };

const NONE: Presented = { kind: "none" };
const AMBIGUOUS: Presented = { kind: "ambiguous" };

// RFC 6750 §2.1 b64token. A comma is Envoy's joint between two header lines, so it never belongs to one key.
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;
const BEARER = /^bearer(?: +|$)/i;
const JOINED_BEARER = /,[ \t]*bearer\b/i;

/**
 * Finds the one key of a request. Two, or one in a wrong form, are refused rather than chosen from
 * (RFC 6750 §2, §3.1): an `Authorization` of whatever scheme beside another key is two.
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

/** Whether a key has the three parts of a JWT (RFC 7519 §3); a V1 key that is taken has not. */
export function hasThreeParts(key: string): boolean {
  const first = key.indexOf(".");
  const second = first === -1 ? -1 : key.indexOf(".", first + 1);
  return second !== -1 && !key.includes(".", second + 1);
}

/** The name of a cookie or query parameter in which the policy lets a key come; undefined for a header. */
export function cookieName(source: CredentialSource): string | undefined {
  return source.startsWith("cookie:") ? source.slice("cookie:".length) : undefined;
}

export function queryName(source: CredentialSource): string | undefined {
  return source.startsWith("query:") ? source.slice("query:".length) : undefined;
}

/** What stands at one source, each time that it stands there. */
function linesOf(request: Presentable, source: CredentialSource): readonly string[] {
  const cookie = cookieName(source);
  if (cookie !== undefined) return cookieValues(request, cookie, { unreadable: UNREADABLE, max: MAX_VALUES });
  const query = queryName(source);
  return query === undefined ? headerLines(request, source) : parametersOf(request.path?.query ?? "", query);
}

/**
 * The values of one query parameter. Envoy takes it off by its plain name: a name that only decodes to it would
 * stay and reach upstream, so that one counts as a key in a wrong form.
 */
function parametersOf(query: string, name: string): readonly string[] {
  const values: string[] = [];
  // A query can have a parameter in every other character: nothing is made of those with another name.
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

/** Where the name of this parameter ends, if it is that name or decodes to it. */
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

/** Fits no form of a key. */
const UNREADABLE = "%";
/** Cookies or parameters of one name. No client sends as many, even empty ones. */
const MAX_VALUES = 16;

/** Undecodable text fits no form of a key either. */
function decoded(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return UNREADABLE;
  }
}

/** Another scheme than Bearer is not for us, unless Envoy has joined a Bearer line to it. */
function fromAuthorization(value: string): Presented {
  const scheme = BEARER.exec(value);
  if (scheme === null) return JOINED_BEARER.test(value) ? AMBIGUOUS : NONE;
  return fromToken(value.slice(scheme[0].length), "authorization");
}

function fromToken(token: string, source: CredentialSource): Presented {
  if (token === "") return NONE;
  return TOKEN.test(token) ? { kind: "one", token, source } : AMBIGUOUS;
}
