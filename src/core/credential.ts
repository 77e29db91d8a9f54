import type { AuthRequest } from "./request.ts";
import { headerLines } from "./request.ts";

/** Where a policy lets a key be presented. */
export type CredentialSource = "authorization" | "x-api-key";

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
const JOINED_BEARER = /,\s*bearer\b/i;

/**
 * Finds the one key of a request. Two, or one in a wrong form, are refused rather than chosen from
 * (RFC 6750 §2, §3.1): an `Authorization` of whatever scheme beside an `X-API-Key` is two.
 */
export function presentedCredential(
  request: Pick<AuthRequest, "headers">,
  sources: readonly CredentialSource[],
): Presented {
  let found: Presented = NONE;
  let lines = 0;
  for (const source of sources) {
    for (const line of headerLines(request, source)) {
      if (line.trim() === "") continue;
      lines++;
      found = source === "authorization" ? fromAuthorization(line) : fromToken(line, source);
    }
  }
  return lines > 1 ? AMBIGUOUS : found;
}

/** Another scheme than Bearer is not for us, unless Envoy has joined a Bearer line to it. */
function fromAuthorization(line: string): Presented {
  const scheme = BEARER.exec(line.trim());
  if (scheme === null) return JOINED_BEARER.test(line) ? AMBIGUOUS : NONE;
  return fromToken(line.trim().slice(scheme[0].length), "authorization");
}

function fromToken(value: string, source: CredentialSource): Presented {
  const token = value.trim();
  if (token === "") return NONE;
  return TOKEN.test(token) ? { kind: "one", token, source } : AMBIGUOUS;
}
