import type { CredentialSource } from "../core/credential.ts";
import { cookieName, cookiesOf, isCookieNamed, queryName } from "../core/credential.ts";
import type { AuthRequest } from "../core/request.ts";
import { headerLines } from "../core/request.ts";

/** What takes a key off one request before upstream sees it, beside the headers that always go. */
export interface Stripping {
  /** Whether the Cookie header goes, since nothing would be left of it. */
  readonly cookieHeader: boolean;
  /** What the Cookie header becomes; empty when it goes, or stays as it is. */
  readonly cookies: string;
  /** Query parameters to remove: only those that are there, for Envoy writes the whole query anew. */
  readonly parameters: readonly string[];
}

const NOTHING_STRIPPED: Stripping = { cookieHeader: false, cookies: "", parameters: [] };

/** The headers in which the policy lets a key come: they go, whether or not there was a key in them. */
export function credentialHeaders(sources: readonly CredentialSource[]): readonly string[] {
  const headers = sources.filter(
    (source) => cookieName(source) === undefined && queryName(source) === undefined,
  );
  return headers.flatMap((name) => [...new Set([name, twin(name)])]);
}

/** What else stands where the policy lets a key come. */
export function strippedCredential(request: AuthRequest, sources: readonly CredentialSource[]): Stripping {
  const cookies = new Set<string>();
  const parameters: string[] = [];
  for (const source of sources) {
    const cookie = cookieName(source);
    const parameter = queryName(source);
    if (cookie !== undefined) cookies.add(cookie);
    else if (parameter !== undefined && hasParameter(request.path.query, parameter))
      parameters.push(parameter);
  }
  if (cookies.size === 0 && parameters.length === 0) return NOTHING_STRIPPED;
  const kept = cookies.size === 0 ? undefined : keptCookies(request, cookies);
  return { cookieHeader: kept === "", cookies: kept ?? "", parameters };
}

/** The cookies without those named; undefined when none of them is there. */
function keptCookies(request: AuthRequest, names: ReadonlySet<string>): string | undefined {
  if (headerLines(request, "cookie").length === 0) return undefined;
  const all = cookiesOf(request);
  const kept = all.filter((pair) => ![...names].some((name) => isCookieNamed(pair, name)));
  return kept.length === all.length ? undefined : kept.map(({ text }) => text).join("; ");
}

function hasParameter(query: string, name: string): boolean {
  return query.split("&").some((part) => part === name || part.startsWith(`${name}=`));
}

/** The spelling that some servers take for the same header. */
export function twin(name: string): string {
  return name.replaceAll("-", "_");
}
