import { isUtf8 } from "node:buffer";
import { withoutCookies } from "../core/decision/cookies.ts";
import type { CredentialSource } from "../core/decision/credential.ts";
import { cookieName, queryName } from "../core/decision/credential.ts";
import type { AuthRequest } from "../core/decision/request.ts";

/** What removes a key from one request to upstream, in addition to the headers that are always removed. */
export interface CredentialRemoval {
  /** Whether the Cookie header is removed, because no cookie remains. */
  readonly cookieHeader: boolean;
  /** The new Cookie header; empty if the header is removed or unchanged. */
  readonly cookies: string;
  /** Query parameters to remove. Only those that occur, because Envoy rewrites the whole query to remove one. */
  readonly parameters: readonly string[];
}

const NO_REMOVAL: CredentialRemoval = { cookieHeader: false, cookies: "", parameters: [] };

/** The headers in which the policy accepts a key. They are removed whether or not they contain one. */
export function credentialHeaders(sources: readonly CredentialSource[]): readonly string[] {
  const headers = sources.filter(
    (source) => cookieName(source) === undefined && queryName(source) === undefined,
  );
  return headers.flatMap((name) => [...new Set([name, underscoreVariant(name)])]);
}

/** The cookies and query parameters in which the policy accepts a key. */
export function credentialRemoval(
  request: AuthRequest,
  sources: readonly CredentialSource[],
): CredentialRemoval {
  const parameters: string[] = [];
  for (const source of sources) {
    const parameter = queryName(source);
    if (parameter !== undefined && hasParameter(request.path.query, parameter)) parameters.push(parameter);
  }
  const remaining = remainingCookies(request, sources);
  if (remaining === undefined && parameters.length === 0) return NO_REMOVAL;
  // A request whose cookies cannot be sent is denied earlier. Here, all cookies are removed rather than passing the key.
  const cookies = remaining === undefined ? "" : (toSendable(remaining) ?? "");
  return { cookieHeader: remaining !== undefined && cookies === "", cookies, parameters };
}

/**
 * Whether the key can be removed from the Cookie header. Envoy accepts header values as UTF-8 text only, so a Cookie header with
 * other bytes cannot be rewritten.
 */
export function canStripCookies(request: AuthRequest, sources: readonly CredentialSource[]): boolean {
  const remaining = remainingCookies(request, sources);
  return remaining === undefined || toSendable(remaining) !== undefined;
}

/** The Cookie header without the policy's cookies. Undefined if it has none of them. */
function remainingCookies(
  request: AuthRequest,
  sources: readonly CredentialSource[],
): { readonly text: string; readonly isRaw: boolean } | undefined {
  if (!sources.some((source) => cookieName(source) !== undefined)) return undefined;
  const names = new Set(sources.flatMap((source) => cookieName(source) ?? []));
  const text = withoutCookies(request, names);
  return text === undefined ? undefined : { text, isRaw: request.headers.joined !== true };
}

/** The text for Envoy; raw lines have one character for each byte. Undefined if the bytes are not UTF-8. */
function toSendable({ text, isRaw }: { readonly text: string; readonly isRaw: boolean }): string | undefined {
  if (!isRaw) return text;
  const bytes = Buffer.from(text, "latin1");
  return isUtf8(bytes) ? bytes.toString("utf8") : undefined;
}

function hasParameter(query: string, name: string): boolean {
  return query.split("&").some((part) => part === name || part.startsWith(`${name}=`));
}

/** The spelling that some servers treat as the same header. */
export function underscoreVariant(name: string): string {
  return name.replaceAll("-", "_");
}
