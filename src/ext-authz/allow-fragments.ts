import type { Allow, RateStatus } from "../core/decision/decision.ts";
import { ownerOf } from "../core/decision/principal.ts";
import { credentialHeaders, credentialRemoval, underscoreVariant } from "./credential-removal.ts";
import {
  append,
  legacyLimitHeaders,
  limitHeaders,
  noticeHeaders,
  overwrite,
  policyHeaders,
} from "./header-options.ts";
import type { OkHttpResponse } from "./messages.ts";
import type { ResponseContext } from "./response-context.ts";
import type { PlainObject } from "./struct.ts";

/** The names that upstream can trust, less their prefix. */
export const IDENTITY_HEADERS = [
  "key-id",
  "family",
  "owner",
  "role",
  "scopes",
  "name",
  "decision-id",
] as const;
type IdentityHeader = (typeof IDENTITY_HEADERS)[number];

/** Some of what an allow says. Everything in it is a list, so that parts of it can be put together. */
export interface AllowFragment {
  readonly ok: OkHttpResponse;
  readonly metadata: PlainObject;
}

/** Whose key it is: the same in every answer to this key with these scopes and limits. */
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

/** The same in every answer to this route, under one policy. */
export function routeFragment(
  { label, stripCredential }: Allow["route"],
  { forwardPrefix, credentialSources }: Pick<ResponseContext, "forwardPrefix" | "credentialSources">,
): AllowFragment {
  const twins = IDENTITY_HEADERS.map((name) => underscoreVariant(forwardPrefix + name));
  const credential = stripCredential ? credentialHeaders(credentialSources) : [];
  return {
    ok: { headers_to_remove: [...twins, ...credential] },
    metadata: { reason: "allowed", route: label },
  };
}

/** What must be taken off this very request; usually nothing. */
export function requestFragment({ route }: Allow, context: ResponseContext): AllowFragment {
  const { request, credentialSources } = context;
  const spoofed = spoofedHeaders(context);
  if (request === undefined || !route.stripCredential)
    return spoofed.length === 0 ? NOTHING : { ok: { headers_to_remove: spoofed }, metadata: {} };
  const { cookieHeader, cookies, parameters } = credentialRemoval(request, credentialSources);
  if (spoofed.length === 0 && !cookieHeader && cookies === "" && parameters.length === 0) return NOTHING;
  return {
    ok: {
      headers: cookies === "" ? [] : [overwrite("cookie", cookies)],
      headers_to_remove: cookieHeader ? [...spoofed, "cookie"] : spoofed,
      // RFC 6750 §2.3: an answer to a URL with a key in it belongs in no shared cache, whatever upstream says of it.
      response_headers_to_add: parameters.length === 0 ? [] : [append("cache-control", "private")],
      query_parameters_to_remove: parameters,
    },
    metadata: {},
  };
}

export const NOTHING: AllowFragment = { ok: {}, metadata: {} };

/** What changes from one answer to the next. */
export function decisionFragment(decision: Allow, context: ResponseContext): AllowFragment {
  const { decisionId, forwardPrefix } = context;
  const { rates } = decision;
  return {
    ok: {
      headers: [overwrite(`${forwardPrefix}decision-id`, decisionId)],
      response_headers_to_add: limitHeaders(rates),
    },
    metadata: { decision_id: decisionId, ...(rates.length > 0 && { remaining: remainingOf(rates) }) },
  };
}

/** What clients are told beside, some of them; usually nothing. */
export function noticeFragment(
  { refreshDue, notice, rates }: Allow,
  { legacyRateLimit }: ResponseContext,
): AllowFragment {
  if (!refreshDue && notice === undefined && !legacyRateLimit) return NOTHING;
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

/** What the client sent under our names, in every spelling that a server might read as ours (`_` for `-`). */
export function spoofedHeaders({ forwardPrefix, request }: ResponseContext): readonly string[] {
  let spoofed: string[] | undefined;
  const first = forwardPrefix.charCodeAt(0);
  for (const name of request?.headers.keys() ?? NO_NAMES) {
    if (name.charCodeAt(0) !== first) continue;
    const spelt = name.includes("_") ? name.replaceAll("_", "-") : name;
    if (!spelt.startsWith(forwardPrefix)) continue;
    spoofed ??= [];
    // Envoy removes after it sets, so a name that we set, or remove in any case, must not be among them.
    if (!isOurs(name, forwardPrefix)) spoofed.push(name);
  }
  return spoofed ?? NO_NAMES;
}

const NO_NAMES: readonly string[] = [];

function isOurs(name: string, prefix: string): boolean {
  return IDENTITY_HEADERS.some(
    (identity) => name === prefix + identity || name === underscoreVariant(prefix + identity),
  );
}

/** Printable ASCII as it is; all else, and `%`, as percent-encoded UTF-8. */
function headerSafe(text: string): string {
  return text.replace(/[^\x20-\x24\x26-\x7e]+/gu, (part) =>
    [...Buffer.from(part, "utf8")]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
      .join(""),
  );
}

/** Of the bucket with the least left. */
export function remainingOf(rates: readonly RateStatus[]): number {
  let least = Number.POSITIVE_INFINITY;
  for (const { remaining } of rates) if (remaining < least) least = remaining;
  return least;
}
