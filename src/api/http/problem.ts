import type { FastifyReply } from "fastify";
import { z } from "zod";
import { DENIALS, DENY_REASONS } from "../../core/decision/decision.ts";
import { retryAfterOf } from "../../core/limits/retry-after.ts";

interface ProblemType {
  readonly status: number;
  readonly title: string;
}

/** Problems of the key API that a Check never returns. */
const API_PROBLEMS = {
  request_invalid: { status: 400, title: "The request does not have the form that this call requires." },
  idempotency_key_weak: {
    status: 400,
    title: "Without a credential, the Idempotency-Key must have at least 22 unguessable characters.",
  },
  operator_required: { status: 401, title: "This call requires the credential of an operator." },
  session_ended: { status: 401, title: "The console session has ended. Sign in again." },
  link_invalid: {
    status: 401,
    title: "The sign-in link has expired or was used before. Create another one with `latchkey console`.",
  },
  sign_in_expired: {
    status: 401,
    title: "The sign-in has expired, was used before, or was started in another browser. Sign in again.",
  },
  cross_site_call: { status: 403, title: "The console accepts calls of its own pages only." },
  grant_refused: { status: 403, title: "The caller cannot grant more than it holds." },
  plan_not_assignable: { status: 403, title: "The caller may not assign this plan." },
  operator_scope_missing: {
    status: 403,
    title: "The credential does not have the scope that this call requires.",
  },
  console_not_built: {
    status: 404,
    title: "This installation has no console: run `npm run build`, or set CONSOLE to off.",
  },
  not_found: { status: 404, title: "The resource does not exist." },
  method_not_allowed: { status: 405, title: "The path does not support this method." },
  refresh_too_early: { status: 409, title: "The key may not be refreshed yet." },
  already_refreshed: { status: 409, title: "The key has already been refreshed." },
  key_ended: {
    status: 409,
    title: "The key has ended or is disabled. It cannot be changed or rotated.",
  },
  changed_meanwhile: {
    status: 409,
    title: "It has changed since the caller read it. Read it again, then decide again.",
  },
  too_many_owner_keys: {
    status: 409,
    title:
      "The owner has as many keys as it may have. Revoke one, or wait until the overlap of a rotation ends.",
  },
  family_too_old: { status: 409, title: "The key's family has reached its maximum age. Register a new key." },
  legacy_removed: { status: 410, title: "V1 keys are no longer issued or exchanged." },
  body_too_large: { status: 413, title: "The body is too large." },
  media_type_unsupported: { status: 415, title: "This call does not accept the media type of the body." },
  idempotency_key_reused: {
    status: 422,
    title: "The Idempotency-Key was already used with a different body.",
  },
  policy_refused: { status: 422, title: "The policy file has errors. The previous policy stays active." },
  too_many_calls: {
    status: 429,
    title: "Too many calls came from this address. Try again after the time in Retry-After.",
  },
  too_many_keys: {
    status: 503,
    title: "Self-service registration has reached its limit. Try again later, or ask an operator for a key.",
  },
  too_many_overrides: {
    status: 503,
    title: "The maximum number of overrides is reached. Cleared overrides count for 30 days.",
  },
  too_many_streams: {
    status: 503,
    title: "This instance has too many streams, or is about to stop. Try again later.",
  },
  too_many_unread_responses: {
    status: 503,
    title: "Clients of this listener leave too many responses unread. Try again later.",
  },
  policy_check_busy: {
    status: 503,
    title: "This instance is checking other policies. Try again after the time in Retry-After.",
  },
  registry_frozen: {
    status: 503,
    title:
      "The registry is frozen while it is copied. Revocations are accepted. Try again after the time in Retry-After.",
  },
  store_unavailable: { status: 503, title: "The key store is currently unavailable. Try again later." },
} as const satisfies Record<string, ProblemType>;

/** Every problem of the Check and of the API, by name. `/problems/<name>` has hyphens instead of underscores. */
export const PROBLEMS = { ...DENIALS, ...API_PROBLEMS } as const satisfies Record<string, ProblemType>;

export type ProblemName = keyof typeof PROBLEMS;

export const PROBLEM_NAMES: readonly ProblemName[] = [
  ...DENY_REASONS,
  ...Object.keys(API_PROBLEMS).filter((name): name is keyof typeof API_PROBLEMS =>
    Object.hasOwn(API_PROBLEMS, name),
  ),
];

/** One error in the body, query or path of a request. */
export interface FieldProblem {
  /** A JSON Pointer as a URI fragment (RFC 6901 §6): `#/scopes/0`. */
  readonly pointer: string;
  readonly detail: string;
}

/** The optional members of a problem: all but type, title and status. */
export interface ProblemDetails {
  readonly detail?: string;
  readonly errors?: readonly FieldProblem[];
  readonly retryAfterSeconds?: number;
  readonly members?: Readonly<Record<string, string | number>>;
}

/** The schema of a problem document. */
export const problemSchema = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string().optional(),
    errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
  })
  .meta({ title: "Problem", description: "RFC 9457." });

/** RFC 9457 §3. */
export const PROBLEM_MEDIA_TYPE = "application/problem+json";

export function problemType(name: ProblemName): string {
  return `/problems/${name.replaceAll("_", "-")}`;
}

/** Sends a problem (RFC 9457) with its challenge (RFC 6750 §3) and its Retry-After. */
export function sendProblem(
  reply: FastifyReply,
  name: ProblemName,
  details: ProblemDetails = {},
): FastifyReply {
  const { status, title } = PROBLEMS[name];
  reply.problem = name;
  const wait = retryAfterOf(status, details.retryAfterSeconds);
  if (wait !== undefined) void reply.header("retry-after", String(wait));
  if (status === 401) void reply.header("www-authenticate", challengeOf(name, title));
  return (
    reply
      .code(status)
      .header("cache-control", "no-store")
      // The audit lines of the call have it too.
      .header("x-request-id", reply.request.id)
      .type(PROBLEM_MEDIA_TYPE)
      .send(problemText(name, details))
  );
}

/** The JSON text of a problem. The headers are the caller's part. */
export function problemText(name: ProblemName, { detail, errors, members }: ProblemDetails = {}): string {
  const { status, title } = PROBLEMS[name];
  return JSON.stringify({ type: problemType(name), title, status, detail, errors, ...members });
}

function challengeOf(name: ProblemName, title: string): string {
  const withoutError = name === "credential_missing" || name === "operator_required";
  return withoutError
    ? 'Bearer realm="latchkey"'
    : `Bearer realm="latchkey", error="invalid_token", error_description="${title}"`;
}
