import { memoize } from "../core/cache/memoize.ts";
import type { Allow, RateStatus } from "../core/decision/decision.ts";
import { ownerOf } from "../core/decision/principal.ts";
import { credentialHeaders, credentialRemoval, underscoreVariant } from "./credential-removal.ts";
import { append, legacyLimitHeaders, noticeHeaders, overwrite, policyHeaders } from "./header-options.ts";
import type { OkHttpResponse } from "./messages.ts";
import type { ResponseContext } from "./response-context.ts";
import type { PlainObject } from "./struct.ts";

/** The headers that upstream can trust, without their prefix. */
export const IDENTITY_HEADERS = [
  "key-id",
  "family",
  "owner",
  "role",
  "scopes",
  "name",
  "decision-id",
] as const;
export type IdentityHeader = (typeof IDENTITY_HEADERS)[number];

/** A part of an allow. All its members are lists, so fragments can be concatenated. */
export interface AllowFragment {
  readonly ok: OkHttpResponse;
  readonly metadata: PlainObject;
}

/** The identity of the caller: equal in every response to this key with these scopes and limits. */
export function keyFragment(
  { principal, scopes, rates }: Pick<Allow, "principal" | "scopes" | "rates">,
  { forwardPrefix }: Pick<ResponseContext, "forwardPrefix">,
): AllowFragment {
  const name = (identity: IdentityHeader) => forwardPrefix + identity;
  if (principal === undefined) {
    const unset = IDENTITY_HEADERS.filter((identity) => identity !== "decision-id");
    const ok = { headers_to_remove: unset.map(name), response_headers_to_add: policyHeaders(rates) };
    return { ok, metadata: {} };
  }
  const { keyId, family, role } = principal;
  const headers = [
    overwrite(name("key-id"), keyId),
    overwrite(name("family"), family),
    overwrite(name("owner"), ownerOf(principal)),
    overwrite(name("role"), role),
    overwrite(name("scopes"), scopes.join(" ")),
    overwrite(name("name"), headerSafe(principal.name)),
  ];
  const ok = { headers, response_headers_to_add: policyHeaders(rates) };
  return { ok, metadata: { key_id: keyId, family, role, scopes } };
}

/** Equal in every response to this route under one policy. */
export function routeFragment(
  { label, stripCredential }: Allow["route"],
  { forwardPrefix, credentialSources }: Pick<ResponseContext, "forwardPrefix" | "credentialSources">,
): AllowFragment {
  const variants = IDENTITY_HEADERS.map((name) => underscoreVariant(forwardPrefix + name));
  const credential = stripCredential ? credentialHeaders(credentialSources) : [];
  return {
    ok: { headers_to_remove: [...variants, ...credential] },
    metadata: { reason: "allowed", route: label },
  };
}

/** What must be removed from this request; usually nothing. */
export function requestFragment({ route }: Allow, context: ResponseContext): AllowFragment {
  const { request, credentialSources } = context;
  const spoofed = spoofedHeaders(context);
  if (request === undefined || !route.stripCredential)
    return spoofed.length === 0 ? EMPTY : { ok: { headers_to_remove: spoofed }, metadata: {} };
  const { cookieHeader, cookies, parameters } = credentialRemoval(request, credentialSources);
  if (spoofed.length === 0 && !cookieHeader && cookies === "" && parameters.length === 0) return EMPTY;
  return {
    ok: {
      headers: cookies === "" ? [] : [overwrite("cookie", cookies)],
      headers_to_remove: cookieHeader ? [...spoofed, "cookie"] : spoofed,
      // RFC 6750 §2.3: no shared cache may store the response to a URL with a key, whatever upstream permits.
      response_headers_to_add: parameters.length === 0 ? [] : [append("cache-control", "private")],
      query_parameters_to_remove: parameters,
    },
    metadata: {},
  };
}

export const EMPTY: AllowFragment = { ok: {}, metadata: {} };

/** Notices to the client: refresh due, V1 key, older rate limit headers; usually nothing. */
export function noticeFragment(
  { refreshDue, notice, rates }: Allow,
  { legacyRateLimit }: ResponseContext,
): AllowFragment {
  if (!refreshDue && notice === undefined && !legacyRateLimit) return EMPTY;
  return {
    ok: {
      response_headers_to_add: [
        ...(refreshDue ? [overwrite("x-latchkey-refresh", "due")] : []),
        ...(legacyRateLimit ? legacyLimitHeaders(rates) : []),
        ...noticeHeaders(notice, append),
      ],
    },
    metadata: {},
  };
}

/** Headers of the client with our names, in every spelling that a server might treat as ours (`_` for `-`). */
export function spoofedHeaders({ forwardPrefix, request }: ResponseContext): readonly string[] {
  let spoofed: string[] | undefined;
  const first = forwardPrefix.charCodeAt(0);
  for (const name of request?.headers.keys() ?? NO_NAMES) {
    if (name.charCodeAt(0) !== first) continue;
    const normalised = name.includes("_") ? name.replaceAll("_", "-") : name;
    if (!normalised.startsWith(forwardPrefix)) continue;
    spoofed ??= [];
    // Envoy removes headers after it has set others, so a name that we set must not be in this list.
    if (!ourNames(forwardPrefix).has(name)) spoofed.push(name);
  }
  return spoofed ?? NO_NAMES;
}

const NO_NAMES: readonly string[] = [];

/** A request can have thousands of such headers, so the names are built once. */
const ourNames = memoize(
  16,
  (prefix) =>
    new Set(
      IDENTITY_HEADERS.flatMap((identity) => [prefix + identity, underscoreVariant(prefix + identity)]),
    ),
);

/** Percent-encodes `%` and everything that is not printable ASCII, as UTF-8. */
export function headerSafe(text: string): string {
  return text.replace(/[^\x20-\x24\x26-\x7e]+/gu, (part) =>
    [...Buffer.from(part, "utf8")]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
      .join(""),
  );
}

/** The tokens left in the bucket with the fewest. */
export function remainingOf(rates: readonly RateStatus[]): number {
  let least = Number.POSITIVE_INFINITY;
  for (const { remaining } of rates) if (remaining < least) least = remaining;
  return least;
}
