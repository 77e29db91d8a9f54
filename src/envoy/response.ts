import type { CredentialSource } from "../core/credential.ts";
import type { Allow, Decision, Deny, DenyReason, RateStatus, Refusal } from "../core/decision.ts";
import { REFUSALS } from "../core/decision.ts";
import type { LegacyNotice } from "../core/migration.ts";
import type { Mode } from "../core/policy.ts";
import { ownerOf } from "../core/principal.ts";
import type { AuthRequest } from "../core/request.ts";
import type {
  AllowResponse,
  CheckResponse,
  DenyResponse,
  HeaderOption,
  OkHttpResponse,
  RefusalCode,
} from "./messages.ts";
import { APPEND_ACTION } from "./messages.ts";
import { rateLimitFields } from "./rate-limit-headers.ts";
import { credentialHeaders, strippedCredential, twin } from "./stripped-credential.ts";
import type { PlainObject } from "./struct.ts";
import { toStruct } from "./struct.ts";

/** What an answer needs beside the decision. */
export interface AnswerContext {
  readonly decisionId: string;
  /** `headers.forward_prefix` of the policy. */
  readonly forwardPrefix: string;
  /** `headers.legacy_ratelimit` of the policy. */
  readonly legacyRateLimit: boolean;
  /** Where a key may come. */
  readonly credentialSources: readonly CredentialSource[];
  /** Absent when the request could not be read. */
  readonly request?: AuthRequest;
  readonly grpc: boolean;
}

/** The names that upstream can trust, less their prefix. */
const IDENTITY_HEADERS = ["key-id", "family", "owner", "role", "scopes", "name", "decision-id"] as const;
type IdentityHeader = (typeof IDENTITY_HEADERS)[number];

/** In shadow mode whatever was decided lets through. */
export function toCheckResponse(
  decision: Decision,
  context: AnswerContext,
  mode: Mode = "enforce",
): CheckResponse {
  if (mode === "shadow") return shadowResponse(decision, context);
  return decision.verdict === "allow" ? allowResponse(decision, context) : denyResponse(decision, context);
}

/** Some of what an allow says. Everything in it is a list, so that parts of it can be put together. */
export interface AllowPart {
  readonly ok: OkHttpResponse;
  readonly metadata: PlainObject;
}

function allowResponse(decision: Allow, context: AnswerContext): AllowResponse {
  const parts = [
    keyPart(decision, context),
    routePart(decision.route, context),
    requestPart(decision, context),
    answerPart(decision, context),
  ];
  const parameters = parts.flatMap(({ ok }) => ok.query_parameters_to_remove ?? []);
  return {
    status: { code: 0 },
    ok_response: {
      headers: parts.flatMap(({ ok }) => ok.headers ?? []),
      headers_to_remove: parts.flatMap(({ ok }) => ok.headers_to_remove ?? []),
      response_headers_to_add: parts.flatMap(({ ok }) => ok.response_headers_to_add ?? []),
      ...(parameters.length > 0 && { query_parameters_to_remove: parameters }),
    },
    dynamic_metadata: toStruct(Object.assign({}, ...parts.map(({ metadata }) => metadata))),
  };
}

/** Whose key it is: the same in every answer to this key with these scopes. */
export function keyPart(
  { principal, scopes }: Pick<Allow, "principal" | "scopes">,
  { forwardPrefix }: Pick<AnswerContext, "forwardPrefix">,
): AllowPart {
  const name = (identity: IdentityHeader) => forwardPrefix + identity;
  if (principal === undefined) {
    const unset = IDENTITY_HEADERS.filter((identity) => identity !== "decision-id");
    return { ok: { headers_to_remove: unset.map(name) }, metadata: {} };
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
  return { ok: { headers }, metadata: { key_id: keyId, family, role, scopes } };
}

/** The same in every answer to this route, under one policy. */
export function routePart(
  { label, stripCredential }: Allow["route"],
  { forwardPrefix, credentialSources }: Pick<AnswerContext, "forwardPrefix" | "credentialSources">,
): AllowPart {
  const twins = IDENTITY_HEADERS.map((name) => twin(forwardPrefix + name));
  const credential = stripCredential ? credentialHeaders(credentialSources) : [];
  return {
    ok: { headers_to_remove: [...twins, ...credential] },
    metadata: { reason: "allowed", route: label },
  };
}

/** What must be taken off this very request; usually nothing. */
export function requestPart({ route }: Allow, context: AnswerContext): AllowPart {
  const { request, credentialSources } = context;
  const spoofed = spoofedHeaders(context);
  if (request === undefined || !route.stripCredential)
    return spoofed.length === 0 ? NOTHING : { ok: { headers_to_remove: spoofed }, metadata: {} };
  const { cookieHeader, cookies, parameters } = strippedCredential(request, credentialSources);
  if (spoofed.length === 0 && !cookieHeader && cookies === "" && parameters.length === 0) return NOTHING;
  return {
    ok: {
      headers: cookies === "" ? [] : [overwrite("cookie", cookies)],
      headers_to_remove: cookieHeader ? [...spoofed, "cookie"] : spoofed,
      // RFC 6750 §2.3: an answer to a URL with a key in it belongs in no shared cache, whatever upstream says of it.
      response_headers_to_add: parameters.length === 0 ? [] : [appended("cache-control", "private")],
      query_parameters_to_remove: parameters,
    },
    metadata: {},
  };
}

export const NOTHING: AllowPart = { ok: {}, metadata: {} };

/** What changes from one answer to the next. */
export function answerPart(decision: Allow, context: AnswerContext): AllowPart {
  const { decisionId, forwardPrefix } = context;
  const { rates } = decision;
  return {
    ok: {
      headers: [overwrite(`${forwardPrefix}decision-id`, decisionId)],
      response_headers_to_add: [
        ...(decision.refreshDue ? [overwrite("x-latchkey-refresh", "due")] : []),
        ...rateLimitHeaders(decision, context),
        ...noticeHeaders(decision.notice, appended),
      ],
    },
    metadata: { decision_id: decisionId, ...(rates.length > 0 && { remaining: remainingOf(rates) }) },
  };
}

/** Where a V1 key is exchanged. */
const MIGRATE_LINK = '</api/auth/v2/migrate>; rel="successor-version"';

/**
 * What the holder of a V1 key is told: that there is something new, and later when the old ends (RFC 9745, RFC 8594).
 * Upstream may have links of its own; a refusal has none, and Envoy appends to it only what is there already.
 */
function noticeHeaders(notice: LegacyNotice | undefined, link: typeof appended): HeaderOption[] {
  if (notice === undefined) return [];
  const { deprecatedAt, sunset } = notice;
  return [
    overwrite("x-latchkey-upgrade", "v2"),
    link("link", MIGRATE_LINK),
    ...(deprecatedAt === undefined ? [] : [overwrite("deprecation", `@${deprecatedAt}`)]),
    ...(sunset === undefined ? [] : [overwrite("sunset", new Date(sunset * 1000).toUTCString())]),
  ];
}

/** The credential stays, for whatever judges it so far; of our names none is set, and none comes from a client. */
function shadowResponse(decision: Decision, context: AnswerContext): AllowResponse {
  const { forwardPrefix } = context;
  return {
    status: { code: 0 },
    ok_response: {
      headers_to_remove: [
        ...IDENTITY_HEADERS.flatMap((name) => [forwardPrefix + name, twin(forwardPrefix + name)]),
        ...spoofedHeaders(context),
      ],
    },
    dynamic_metadata: toStruct({ ...metadataOf(decision, context), mode: "shadow" }),
  };
}

/** What the client sent under our names, in every spelling that a server might read as ours (`_` for `-`). */
function spoofedHeaders({ forwardPrefix, request }: AnswerContext): readonly string[] {
  let spoofed: string[] | undefined;
  for (const name of request?.headers.keys() ?? []) {
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
  return IDENTITY_HEADERS.some((identity) => name === prefix + identity || name === twin(prefix + identity));
}

/** Printable ASCII as it is; all else, and `%`, as percent-encoded UTF-8. */
function headerSafe(text: string): string {
  return text.replace(/[^\x20-\x24\x26-\x7e]+/gu, (part) =>
    [...Buffer.from(part, "utf8")]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
      .join(""),
  );
}

function metadataOf(decision: Decision, context: AnswerContext): PlainObject {
  const { principal } = decision;
  const rates = decision.rates ?? [];
  return {
    decision_id: context.decisionId,
    reason: decision.reason,
    route: decision.route?.label,
    ...(principal && { key_id: principal.keyId, family: principal.family, role: principal.role }),
    ...(decision.verdict === "allow" && principal && { scopes: decision.scopes }),
    ...(rates.length > 0 && { remaining: remainingOf(rates) }),
  };
}

/** Of the bucket with the least left. */
function remainingOf(rates: readonly RateStatus[]): number {
  return Math.min(...rates.map(({ remaining }) => remaining));
}

/** google.rpc codes for Envoy's own log, and for gRPC clients, whom Envoy would tell UNAVAILABLE for a 429. */
const RPC_CODES: Readonly<Record<Refusal["status"], RefusalCode>> = {
  400: 3,
  401: 16,
  403: 7,
  410: 5,
  429: 8,
  503: 14,
};

function denyResponse(decision: Deny, context: AnswerContext): DenyResponse {
  const refusal: Refusal = REFUSALS[decision.reason];
  const code = RPC_CODES[refusal.status];
  const headers = [
    overwrite("content-type", context.grpc ? "text/plain" : "application/problem+json"),
    overwrite("cache-control", "no-store"),
    overwrite("x-latchkey-decision-id", context.decisionId),
    overwrite("x-latchkey-reason", decision.reason),
    ...challenge(decision, refusal),
    ...(decision.reason === "legacy_key_removed" ? [overwrite("link", MIGRATE_LINK)] : []),
    ...noticeHeaders(decision.notice, overwrite),
    ...retryAfter(decision, refusal),
    ...rateLimitHeaders(decision, context),
    ...(context.grpc ? [overwrite("grpc-status", String(code))] : []),
  ];
  return {
    status: { code, message: decision.reason },
    denied_response: {
      status: { code: refusal.status },
      headers,
      body: context.grpc ? refusal.title : problemBody(decision.reason, refusal, context.decisionId),
    },
    dynamic_metadata: toStruct(metadataOf(decision, context)),
  };
}

/** RFC 6750 §3: no error code without a credential, the missing scope with `insufficient_scope`. */
function challenge(decision: Deny, refusal: Refusal): HeaderOption[] {
  if (refusal.challenge === undefined) return [];
  const parts = ['realm="latchkey"'];
  if (refusal.challenge !== "none")
    parts.push(`error="${refusal.challenge}"`, `error_description="${refusal.title}"`);
  if (decision.requiredScopes !== undefined) parts.push(`scope="${decision.requiredScopes.join(" ")}"`);
  return [overwrite("www-authenticate", `Bearer ${parts.join(", ")}`)];
}

function retryAfter(decision: Deny, refusal: Refusal): HeaderOption[] {
  const seconds = decision.retryAfterSeconds ?? (refusal.status === 503 ? 1 : undefined);
  return seconds === undefined ? [] : [overwrite("retry-after", String(seconds))];
}

function rateLimitHeaders(decision: Decision, { legacyRateLimit }: AnswerContext): HeaderOption[] {
  const waitSeconds = decision.verdict === "deny" ? decision.retryAfterSeconds : undefined;
  const fields = rateLimitFields(decision.rates ?? [], waitSeconds, legacyRateLimit);
  return fields.map(([name, value]) => overwrite(name, value));
}

/** RFC 9457. */
function problemBody(reason: DenyReason, refusal: Refusal, decisionId: string): string {
  return JSON.stringify({
    type: `/problems/${reason.replaceAll("_", "-")}`,
    title: refusal.title,
    status: refusal.status,
    decision_id: decisionId,
  });
}

/** Both forms of "replace": Envoy versions differ in which of the two they heed. */
function overwrite(key: string, value: string): HeaderOption {
  return {
    header: { key, value },
    append: { value: false },
    append_action: APPEND_ACTION.OVERWRITE_IF_EXISTS_OR_ADD,
  };
}

/** Beside what upstream says of the same. */
function appended(key: string, value: string): HeaderOption {
  return {
    header: { key, value },
    append: { value: true },
    append_action: APPEND_ACTION.APPEND_IF_EXISTS_OR_ADD,
  };
}
