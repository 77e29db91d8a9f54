import { isUtf8 } from "node:buffer";
import { withoutCookies } from "../core/decision/cookies.ts";
import type { CredentialSource } from "../core/decision/credential.ts";
import { cookieName, queryName } from "../core/decision/credential.ts";
import type { AuthRequest } from "../core/decision/request.ts";

/** What takes a key off one request before upstream sees it, beside the headers that always go. */
export interface CredentialRemoval {
  /** Whether the Cookie header goes, since nothing would be left of it. */
  readonly cookieHeader: boolean;
  /** What the Cookie header becomes; empty when it goes, or stays as it is. */
  readonly cookies: string;
  /** Query parameters to remove: only those that are there, for Envoy writes the whole query anew. */
  readonly parameters: readonly string[];
}

const NOTHING_STRIPPED: CredentialRemoval = { cookieHeader: false, cookies: "", parameters: [] };

/** The headers in which the policy lets a key come: they go, whether or not there was a key in them. */
export function credentialHeaders(sources: readonly CredentialSource[]): readonly string[] {
  const headers = sources.filter(
    (source) => cookieName(source) === undefined && queryName(source) === undefined,
  );
  return headers.flatMap((name) => [...new Set([name, underscoreVariant(name)])]);
}

/** What else stands where the policy lets a key come. */
export function credentialRemoval(
  request: AuthRequest,
  sources: readonly CredentialSource[],
): CredentialRemoval {
  const parameters: string[] = [];
  for (const source of sources) {
    const parameter = queryName(source);
    if (parameter !== undefined && hasParameter(request.path.query, parameter)) parameters.push(parameter);
  }
  const kept = remainingCookies(request, sources);
  if (kept === undefined && parameters.length === 0) return NOTHING_STRIPPED;
  // What cannot be sent is refused before; should it come here, no cookie passes rather than the key.
  const cookies = kept === undefined ? "" : (sendable(kept) ?? "");
  return { cookieHeader: kept !== undefined && cookies === "", cookies, parameters };
}

/**
 * Whether the key can be taken out of the Cookie header. Envoy takes header values as UTF-8 text alone, so other bytes
 * beside a key in a cookie cannot be left as they are.
 */
export function canStripCookies(request: AuthRequest, sources: readonly CredentialSource[]): boolean {
  const kept = remainingCookies(request, sources);
  return kept === undefined || sendable(kept) !== undefined;
}

/** The Cookie header without the policy's cookies; undefined where none of them is there. */
function remainingCookies(
  request: AuthRequest,
  sources: readonly CredentialSource[],
): { readonly text: string; readonly raw: boolean } | undefined {
  if (!sources.some((source) => cookieName(source) !== undefined)) return undefined;
  const names = new Set(sources.flatMap((source) => cookieName(source) ?? []));
  const text = withoutCookies(request, names);
  return text === undefined ? undefined : { text, raw: request.headers.joined !== true };
}

/** Raw lines have one character for each byte. Undefined: their bytes are no UTF-8. */
function sendable({ text, raw }: { readonly text: string; readonly raw: boolean }): string | undefined {
  if (!raw) return text;
  const bytes = Buffer.from(text, "latin1");
  return isUtf8(bytes) ? bytes.toString("utf8") : undefined;
}

function hasParameter(query: string, name: string): boolean {
  return query.split("&").some((part) => part === name || part.startsWith(`${name}=`));
}

/** The spelling that some servers take for the same header. */
export function underscoreVariant(name: string): string {
  return name.replaceAll("-", "_");
}
