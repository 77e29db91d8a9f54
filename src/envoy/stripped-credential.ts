import type { CredentialSource } from "../core/credential.ts";
import { cookieName, cookiesOf, queryName } from "../core/credential.ts";
import type { AuthRequest } from "../core/request.ts";
import { headerLines } from "../core/request.ts";

/** What takes a key off a request before upstream sees it. */
export interface Stripping {
  /** Headers to remove. */
  readonly headers: readonly string[];
  /** What the Cookie header becomes; empty when it is removed, or stays as it is. */
  readonly cookies: string;
  /** Query parameters to remove: only those that are there, for Envoy writes the whole query anew. */
  readonly parameters: readonly string[];
}

export const NOTHING_STRIPPED: Stripping = { headers: [], cookies: "", parameters: [] };

/** Takes away whatever stands where the policy lets a key come, whether or not it was one. */
export function strippedCredential(request: AuthRequest, sources: readonly CredentialSource[]): Stripping {
  const headers: string[] = [];
  const cookies = new Set<string>();
  const parameters: string[] = [];
  for (const source of sources) {
    const cookie = cookieName(source);
    const parameter = queryName(source);
    if (cookie !== undefined) cookies.add(cookie);
    else if (parameter === undefined) headers.push(...new Set([source, twin(source)]));
    else if (hasParameter(request.path.query, parameter)) parameters.push(parameter);
  }
  const kept = cookies.size === 0 ? undefined : keptCookies(request, cookies);
  if (kept === "") headers.push("cookie");
  return { headers, cookies: kept ?? "", parameters };
}

/** The cookies without those named; undefined when none of them is there. */
function keptCookies(request: AuthRequest, names: ReadonlySet<string>): string | undefined {
  if (headerLines(request, "cookie").length === 0) return undefined;
  const all = cookiesOf(request);
  const kept = all.filter(({ name }) => !names.has(name));
  return kept.length === all.length ? undefined : kept.map(({ text }) => text).join("; ");
}

function hasParameter(query: string, name: string): boolean {
  return query.split("&").some((part) => part === name || part.startsWith(`${name}=`));
}

/** The spelling that some servers take for the same header. */
export function twin(name: string): string {
  return name.replaceAll("-", "_");
}
