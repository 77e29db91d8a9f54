import type { FastifyReply } from "fastify";
import { DENIALS, DENY_REASONS } from "../../core/decision/decision.ts";
import { retryAfterOf } from "../../core/limits/retry-after.ts";

interface ProblemType {
  readonly status: number;
  readonly title: string;
}

/** Problems of the key API that no Check has. */
const API_PROBLEMS = {
  request_invalid: { status: 400, title: "The request is not of the form that this call takes." },
  idempotency_key_weak: {
    status: 400,
    title: "Without a credential, an Idempotency-Key has at least 22 characters that nobody can guess.",
  },
  operator_required: { status: 401, title: "This call needs an operator's credential." },
  grant_refused: { status: 403, title: "Nobody grants more than they hold." },
  operator_scope_missing: { status: 403, title: "The credential lacks the scope that this call needs." },
  not_found: { status: 404, title: "There is nothing here." },
  method_not_allowed: { status: 405, title: "This path does not have this method." },
  refresh_too_early: { status: 409, title: "The key may not be refreshed yet." },
  already_refreshed: { status: 409, title: "The key has been refreshed already." },
  key_ended: {
    status: 409,
    title: "The key has ended or is disabled: it can be neither changed nor rotated.",
  },
  family_too_old: { status: 409, title: "The key's family has reached its age: register a new key." },
  legacy_removed: { status: 410, title: "Keys of the first version are no longer given or exchanged." },
  body_too_large: { status: 413, title: "The body is too large." },
  media_type_unsupported: { status: 415, title: "The body is not of the media type that this call takes." },
  idempotency_key_reused: { status: 422, title: "The Idempotency-Key came with another body before." },
  policy_refused: { status: 422, title: "The policy file has problems; the old policy stays in force." },
  too_many_calls: { status: 429, title: "Too many calls from this address." },
  too_many_keys: { status: 503, title: "No more keys are given without an operator at the moment." },
  too_many_unread_responses: {
    status: 503,
    title: "Clients of this listener have too many responses that they do not read.",
  },
  store_unavailable: { status: 503, title: "The store of keys cannot be reached at the moment." },
} as const satisfies Record<string, ProblemType>;

/** Every problem of both doors, by the name that `/problems/<name>` has with hyphens. */
export const PROBLEMS = { ...DENIALS, ...API_PROBLEMS } as const satisfies Record<string, ProblemType>;

export type ProblemName = keyof typeof PROBLEMS;

export const PROBLEM_NAMES: readonly ProblemName[] = [
  ...DENY_REASONS,
  ...Object.keys(API_PROBLEMS).filter((name): name is keyof typeof API_PROBLEMS =>
    Object.hasOwn(API_PROBLEMS, name),
  ),
];

/** One thing that is wrong with the request's body or query. */
export interface FieldProblem {
  /** A JSON Pointer as a URI fragment (RFC 6901 §6): `#/scopes/0`. */
  readonly pointer: string;
  readonly detail: string;
}

/** Members of a problem beside type, title and status. */
export interface ProblemDetails {
  readonly detail?: string;
  readonly errors?: readonly FieldProblem[];
  readonly retryAfterSeconds?: number;
  readonly members?: Readonly<Record<string, string | number>>;
}

/** RFC 9457 §3. */
export const PROBLEM_MEDIA_TYPE = "application/problem+json";

export function problemType(name: ProblemName): string {
  return `/problems/${name.replaceAll("_", "-")}`;
}

/** Answers with a problem (RFC 9457), its challenge (RFC 6750 §3) and its Retry-After. */
export function sendProblem(
  reply: FastifyReply,
  name: ProblemName,
  details: ProblemDetails = {},
): FastifyReply {
  const { status, title } = PROBLEMS[name];
  const { retryAfterSeconds } = details;
  reply.problem = name;
  const wait = retryAfterOf(status, retryAfterSeconds);
  if (wait !== undefined) void reply.header("retry-after", String(wait));
  if (status === 401) void reply.header("www-authenticate", challengeOf(name, title));
  return reply
    .code(status)
    .header("cache-control", "no-store")
    .type(PROBLEM_MEDIA_TYPE)
    .send(problemText(name, details));
}

/** A problem document without the headers that belong to it. */
export function problemText(name: ProblemName, { detail, errors, members }: ProblemDetails = {}): string {
  const { status, title } = PROBLEMS[name];
  return JSON.stringify({ type: problemType(name), title, status, detail, errors, ...members });
}

function challengeOf(name: ProblemName, title: string): string {
  const bare = name === "credential_missing" || name === "operator_required";
  return bare
    ? 'Bearer realm="latchkey"'
    : `Bearer realm="latchkey", error="invalid_token", error_description="${title}"`;
}
