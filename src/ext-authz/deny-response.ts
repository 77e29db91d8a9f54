import type { Decision, Denial, Deny } from "../core/decision/decision.ts";
import { DENIALS } from "../core/decision/decision.ts";
import { retryAfterOf } from "../core/limits/retry-after.ts";
import { IDENTITY_HEADERS, remainingOf, spoofedHeaders } from "./allow-fragments.ts";
import { underscoreVariant } from "./credential-removal.ts";
import {
  legacyLimitHeaders,
  limitHeaders,
  MIGRATE_LINK,
  noticeHeaders,
  overwrite,
  policyHeaders,
} from "./header-options.ts";
import type { AllowResponse, DenialCode, DenyResponse, HeaderOption } from "./messages.ts";
import type { ResponseContext } from "./response-context.ts";
import type { PlainObject } from "./struct.ts";
import { toStruct } from "./struct.ts";
import type { TicketIssuer } from "./ticket-fragment.ts";
import { ticketFragment } from "./ticket-fragment.ts";

/**
 * Lets the request through whatever was decided. The credential stays, for the system that checks it so far. No identity header
 * is set, and those of the client are removed.
 */
export function shadowResponse(
  decision: Decision,
  context: ResponseContext,
  tickets?: TicketIssuer,
): AllowResponse {
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
    dynamic_metadata: toStruct({
      ...metadataOf(decision, context),
      ...ticketFragment(decision, context, tickets).metadata,
      mode: "shadow",
    }),
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

/** google.rpc codes for Envoy's log, and for gRPC clients: Envoy itself would turn a 429 into UNAVAILABLE. */
const RPC_CODES: Readonly<Record<Denial["status"], DenialCode>> = {
  400: 3,
  401: 16,
  403: 7,
  410: 5,
  429: 8,
  503: 14,
};

export function denyResponse(decision: Deny, context: ResponseContext): DenyResponse {
  const denial: Denial = DENIALS[decision.reason];
  const code = RPC_CODES[denial.status];
  const { rates = [], retryAfterSeconds } = decision;
  const headers = [
    overwrite("content-type", context.grpc ? "text/plain" : "application/problem+json"),
    overwrite("cache-control", "no-store"),
    overwrite("x-latchkey-decision-id", context.decisionId),
    overwrite("x-latchkey-reason", decision.reason),
    ...challenge(decision, denial),
    ...(decision.reason === "legacy_key_removed" ? [overwrite("link", MIGRATE_LINK)] : []),
    ...noticeHeaders(decision.notice, overwrite),
    ...retryAfter(decision, denial),
    ...policyHeaders(rates),
    ...limitHeaders(rates, retryAfterSeconds),
    ...(context.legacyRateLimit ? legacyLimitHeaders(rates, retryAfterSeconds) : []),
    ...(context.grpc ? [overwrite("grpc-status", String(code))] : []),
  ];
  return {
    status: { code, message: decision.reason },
    denied_response: {
      status: { code: denial.status },
      headers,
      body: context.grpc ? denial.title : problemBody(decision, denial, context.decisionId),
    },
    dynamic_metadata: toStruct(metadataOf(decision, context)),
  };
}

/** RFC 6750 §3: without a credential there is no error code, and `insufficient_scope` comes with the missing scope. */
function challenge(decision: Deny, denial: Denial): HeaderOption[] {
  if (denial.challenge === undefined) return [];
  const parts = ['realm="latchkey"'];
  if (denial.challenge !== "none")
    parts.push(`error="${denial.challenge}"`, `error_description="${denial.title}"`);
  if (decision.requiredScopes !== undefined) parts.push(`scope="${decision.requiredScopes.join(" ")}"`);
  return [overwrite("www-authenticate", `Bearer ${parts.join(", ")}`)];
}

function retryAfter(decision: Deny, denial: Denial): HeaderOption[] {
  const seconds = retryAfterOf(denial.status, decision.retryAfterSeconds);
  return seconds === undefined ? [] : [overwrite("retry-after", String(seconds))];
}

/** RFC 9457. */
function problemBody({ reason, quota }: Deny, denial: Denial, decisionId: string): string {
  return JSON.stringify({
    type: `/problems/${reason.replaceAll("_", "-")}`,
    title: denial.title,
    status: denial.status,
    decision_id: decisionId,
    ...(quota && {
      quota: quota.name,
      limit: quota.limit,
      resets_at: new Date(quota.resetsAtMs).toISOString(),
    }),
  });
}
