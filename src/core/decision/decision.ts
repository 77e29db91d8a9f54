import type { ChargeGrant } from "../charges/charge-ticket.ts";
import type { LegacyNotice } from "../legacy/migration.ts";
import type { Route } from "../policy/route-table.ts";
import type { Principal } from "./principal.ts";
import type { RejectedToken } from "./token-rejection.ts";

/** The response to a denied request. {@link DENIALS} is the only table from reason to HTTP status. */
export interface Denial {
  readonly status: 400 | 401 | 403 | 410 | 429 | 503;
  /** A short sentence for the client. It contains nothing that helps to guess a key. */
  readonly title: string;
  /** The `error` of the `WWW-Authenticate` challenge (RFC 6750 §3.1); absent: no challenge. */
  readonly challenge?: "none" | "invalid_request" | "invalid_token" | "insufficient_scope";
}

/** Every reason for the denial of a Check. It is also a metric label and the value of the `x-latchkey-reason` header. */
export const DENIALS = {
  request_malformed: { status: 400, title: "The request is malformed or ambiguous." },
  credential_missing: { status: 401, title: "An API key is required.", challenge: "none" },
  credential_ambiguous: {
    status: 400,
    title: "The request contains more than one API key, or a malformed one.",
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
    title: "Keys of this kind are no longer accepted. Exchange it for a new key.",
    challenge: "invalid_token",
  },
  certificate_mismatch: {
    status: 401,
    title: "The API key is bound to another client certificate.",
    challenge: "invalid_token",
  },
  address_not_allowed: { status: 403, title: "The API key is not accepted from this address." },
  https_required: { status: 403, title: "An API key is accepted over HTTPS only." },
  route_unknown: { status: 403, title: "No route allows this request." },
  scope_missing: {
    status: 403,
    title: "The API key lacks a scope that this request needs.",
    challenge: "insufficient_scope",
  },
  rate_limited: { status: 429, title: "The rate limit is exceeded." },
  quota_exceeded: { status: 429, title: "The quota is exhausted." },
  too_many_failures: { status: 429, title: "This address sent too many invalid API keys." },
  limits_unavailable: { status: 503, title: "The rate limits cannot be checked at the moment." },
  revocations_stale: {
    status: 503,
    title: "The revocation status of the API key is currently unknown.",
  },
  credential_unavailable: { status: 503, title: "The API key cannot be checked at the moment." },
  internal: { status: 503, title: "The request could not be decided." },
} as const satisfies Record<string, Denial>;

export type DenyReason = keyof typeof DENIALS;
export type Reason = "allowed" | DenyReason;

export const DENY_REASONS = Object.keys(DENIALS).filter((name): name is DenyReason =>
  Object.hasOwn(DENIALS, name),
);

/** The state of one bucket or quota after a Check, for the `RateLimit` headers. */
export interface RateStatus {
  /** The name of the limit or quota in the policy. */
  readonly name: string;
  /** Tokens of a full bucket, or units per window. */
  readonly capacity: number;
  /** Whole seconds in which an empty bucket fills, or the length of the window. */
  readonly windowSeconds: number;
  /** Whole tokens or units that this instance knows to be left: a lower bound. */
  readonly remaining: number;
  /** Only of a quota: whole seconds until its window ends, from 1. */
  readonly resetSeconds?: number;
}

/** The quota that denied a request. */
export interface ExceededQuota {
  readonly name: string;
  /** Units per window. */
  readonly limit: number;
  /** When its window ends, in milliseconds since 1970. */
  readonly resetsAtMs: number;
}

export interface Allow {
  readonly verdict: "allow";
  readonly reason: "allowed";
  readonly route: Route;
  /** Absent on a public route. */
  readonly principal?: Principal;
  /** The key's scopes that its role still has; empty on a public route. */
  readonly scopes: readonly string[];
  readonly rates: readonly RateStatus[];
  /** Whether the key may be refreshed now. */
  readonly refreshDue: boolean;
  /** The plan that an override has given the key, if that plan applied. */
  readonly overridePlan?: string;
  /** What the request may be charged after its response. */
  readonly charge?: ChargeGrant;
  /** Deprecation headers for the holder of a V1 key. */
  readonly notice?: LegacyNotice;
}

export interface Deny {
  readonly verdict: "deny";
  readonly reason: DenyReason;
  /** Set once the route is found. Operators see it, clients never do. */
  readonly route?: Route;
  readonly principal?: Principal;
  /** The scopes that the route requires, with `scope_missing`. */
  readonly requiredScopes?: readonly string[];
  /** Whole seconds, with 429 and 503. */
  readonly retryAfterSeconds?: number;
  readonly rates?: readonly RateStatus[];
  /** The plan that an override has given the key, if that plan applied. */
  readonly overridePlan?: string;
  /** With `quota_exceeded`. */
  readonly quota?: ExceededQuota;
  /** Deprecation headers for the holder of a V1 key. */
  readonly notice?: LegacyNotice;
  /** Why the credential was rejected: for operators, never for the client. */
  readonly rejection?: RejectedToken;
}

export type Decision = Allow | Deny;

/** A denial is a value, never an exception. */
export function deny(reason: DenyReason, details: Omit<Deny, "verdict" | "reason"> = {}): Deny {
  return { verdict: "deny", reason, ...details };
}
