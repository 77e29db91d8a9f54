import type { Allow, Decision, Denial, Deny, DenyReason } from "../core/decision/decision.ts";
import { DENIALS } from "../core/decision/decision.ts";
import { retryAfterOf } from "../core/limits/retry-after.ts";
import type { Mode } from "../core/policy/policy.ts";
import {
  decisionFragment,
  IDENTITY_HEADERS,
  keyFragment,
  noticeFragment,
  remainingOf,
  requestFragment,
  routeFragment,
  spoofedHeaders,
} from "./allow-fragments.ts";
import { underscoreVariant } from "./credential-removal.ts";
import {
  legacyLimitHeaders,
  limitHeaders,
  MIGRATE_LINK,
  noticeHeaders,
  overwrite,
  policyHeaders,
} from "./header-options.ts";
import type { AllowResponse, CheckResponse, DenialCode, DenyResponse, HeaderOption } from "./messages.ts";
import type { ResponseContext } from "./response-context.ts";
import type { PlainObject } from "./struct.ts";
import { toStruct } from "./struct.ts";

/** In shadow mode whatever was decided lets through. */
export function toCheckResponse(
  decision: Decision,
  context: ResponseContext,
  mode: Mode = "enforce",
): CheckResponse {
  if (mode === "shadow") return shadowResponse(decision, context);
  return decision.verdict === "allow" ? allowResponse(decision, context) : denyResponse(decision, context);
}

function allowResponse(decision: Allow, context: ResponseContext): AllowResponse {
  const parts = [
    keyFragment(decision, context),
    routeFragment(decision.route, context),
    requestFragment(decision, context),
    decisionFragment(decision, context),
    noticeFragment(decision, context),
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

/** The credential stays, for whatever judges it so far; of our names none is set, and none comes from a client. */
function shadowResponse(decision: Decision, context: ResponseContext): AllowResponse {
  const { forwardPrefix } = context;
  return {
    status: { code: 0 },
    ok_response: {
      headers_to_remove: [
        ...IDENTITY_HEADERS.flatMap((name) => [
          forwardPrefix + name,
          underscoreVariant(forwardPrefix + name),
        ]),
        ...spoofedHeaders(context),
      ],
    },
    dynamic_metadata: toStruct({ ...metadataOf(decision, context), mode: "shadow" }),
  };
}

function metadataOf(decision: Decision, context: ResponseContext): PlainObject {
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

/** google.rpc codes for Envoy's own log, and for gRPC clients, whom Envoy would tell UNAVAILABLE for a 429. */
const RPC_CODES: Readonly<Record<Denial["status"], DenialCode>> = {
  400: 3,
  401: 16,
  403: 7,
  410: 5,
  429: 8,
  503: 14,
};

function denyResponse(decision: Deny, context: ResponseContext): DenyResponse {
  const refusal: Denial = DENIALS[decision.reason];
  const code = RPC_CODES[refusal.status];
  const { rates = [], retryAfterSeconds } = decision;
  const headers = [
    overwrite("content-type", context.grpc ? "text/plain" : "application/problem+json"),
    overwrite("cache-control", "no-store"),
    overwrite("x-latchkey-decision-id", context.decisionId),
    overwrite("x-latchkey-reason", decision.reason),
    ...challenge(decision, refusal),
    ...(decision.reason === "legacy_key_removed" ? [overwrite("link", MIGRATE_LINK)] : []),
    ...noticeHeaders(decision.notice, overwrite),
    ...retryAfter(decision, refusal),
    ...policyHeaders(rates),
    ...limitHeaders(rates, retryAfterSeconds),
    ...(context.legacyRateLimit ? legacyLimitHeaders(rates, retryAfterSeconds) : []),
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
function challenge(decision: Deny, refusal: Denial): HeaderOption[] {
  if (refusal.challenge === undefined) return [];
  const parts = ['realm="latchkey"'];
  if (refusal.challenge !== "none")
    parts.push(`error="${refusal.challenge}"`, `error_description="${refusal.title}"`);
  if (decision.requiredScopes !== undefined) parts.push(`scope="${decision.requiredScopes.join(" ")}"`);
  return [overwrite("www-authenticate", `Bearer ${parts.join(", ")}`)];
}

function retryAfter(decision: Deny, refusal: Denial): HeaderOption[] {
  const seconds = retryAfterOf(refusal.status, decision.retryAfterSeconds);
  return seconds === undefined ? [] : [overwrite("retry-after", String(seconds))];
}

/** RFC 9457. */
function problemBody(reason: DenyReason, refusal: Denial, decisionId: string): string {
  return JSON.stringify({
    type: `/problems/${reason.replaceAll("_", "-")}`,
    title: refusal.title,
    status: refusal.status,
    decision_id: decisionId,
  });
}
