import type { LegacyNotice } from "../legacy/migration.ts";
import type { Route } from "../policy/route-table.ts";
import type { Principal } from "./principal.ts";
import type { RejectedToken } from "./token-rejection.ts";

/** How a refusal is told: the one table from reason to HTTP status. */
export interface Denial {
  readonly status: 400 | 401 | 403 | 410 | 429 | 503;
  /** A short sentence for the client. It tells nothing that helps guessing. */
  readonly title: string;
  /** The `error` of RFC 6750 §3.1 for the `WWW-Authenticate` challenge, where the answer carries one. */
  readonly challenge?: "none" | "invalid_request" | "invalid_token" | "insufficient_scope";
}

/** Every reason why a Check is refused. It is also the metric's label and the `x-latchkey-reason` header. */
export const DENIALS = {
  request_malformed: { status: 400, title: "The request is malformed or ambiguous." },
  credential_missing: { status: 401, title: "An API key is required.", challenge: "none" },
  credential_ambiguous: {
    status: 400,
    title: "The request carries more than one API key, or one in a wrong form.",
    challenge: "invalid_request",
  },
  credential_invalid: { status: 401, title: "The API key is not valid.", challenge: "invalid_token" },
  key_expired: { status: 401, title: "The API key has expired.", challenge: "invalid_token" },
  key_revoked: { status: 401, title: "The API key has been revoked.", challenge: "invalid_token" },
  key_disabled: { status: 401, title: "The API key is disabled.", challenge: "invalid_token" },
  key_superseded: {
    status: 401,
    title: "The API key has been replaced by its successor.",
    challenge: "invalid_token",
  },
  legacy_key_removed: {
    status: 401,
    title: "Keys of this kind are no longer accepted: exchange it for a new one.",
    challenge: "invalid_token",
  },
  certificate_mismatch: {
    status: 401,
    title: "The API key is bound to another client certificate.",
    challenge: "invalid_token",
  },
  address_not_allowed: { status: 403, title: "The API key is not taken from this address." },
  https_required: { status: 403, title: "An API key is only taken over HTTPS." },
  route_unknown: { status: 403, title: "No route allows this request." },
  scope_missing: {
    status: 403,
    title: "The API key lacks a scope that this request needs.",
    challenge: "insufficient_scope",
  },
  rate_limited: { status: 429, title: "The rate limit is used up." },
  too_many_failures: { status: 429, title: "Too many API keys that are not valid came from here." },
  limits_unavailable: { status: 503, title: "The rate limits cannot be checked at the moment." },
  revocations_stale: {
    status: 503,
    title: "Whether the API key has been revoked cannot be told at the moment.",
  },
  credential_unavailable: { status: 503, title: "The API key cannot be checked at the moment." },
  internal: { status: 503, title: "The request could not be decided." },
} as const satisfies Record<string, Denial>;

export type DenyReason = keyof typeof DENIALS;
export type Reason = "allowed" | DenyReason;

export const DENY_REASONS = Object.keys(DENIALS).filter((name): name is DenyReason =>
  Object.hasOwn(DENIALS, name),
);

/** What one bucket says after a Check, for the `RateLimit` headers. */
export interface RateStatus {
  /** The limit's name in the policy. */
  readonly name: string;
  /** Tokens that a full bucket holds. */
  readonly capacity: number;
  /** Whole seconds in which an empty bucket fills. */
  readonly windowSeconds: number;
  /** Whole tokens left, as far as this instance knows: a lower bound. */
  readonly remaining: number;
}

export interface Allow {
  readonly verdict: "allow";
  readonly reason: "allowed";
  readonly route: Route;
  /** Absent on a public route. */
  readonly principal?: Principal;
  /** The token's scopes that its role still has; empty on a public route. */
  readonly scopes: readonly string[];
  readonly rates: readonly RateStatus[];
  /** Whether the key may be refreshed already. */
  readonly refreshDue: boolean;
  /** What its holder is to be told of a V1 key. */
  readonly notice?: LegacyNotice;
}

export interface Deny {
  readonly verdict: "deny";
  readonly reason: DenyReason;
  /** Known as soon as it is found; told to operators, never to the client. */
  readonly route?: Route;
  readonly principal?: Principal;
  /** What the request would have needed, with `scope_missing`. */
  readonly requiredScopes?: readonly string[];
  /** Whole seconds, with 429 and 503. */
  readonly retryAfterSeconds?: number;
  readonly rates?: readonly RateStatus[];
  /** What the holder of a V1 key is to be told beside. */
  readonly notice?: LegacyNotice;
  /** Why the credential was refused; for operators, never for the client. */
  readonly refused?: RejectedToken;
}

export type Decision = Allow | Deny;

/** A refusal is a value, never an exception. */
export function deny(reason: DenyReason, details: Omit<Deny, "verdict" | "reason"> = {}): Deny {
  return { verdict: "deny", reason, ...details };
}
