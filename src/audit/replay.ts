import { z } from "zod";
import { createAuthorize } from "../core/decision/authorize.ts";
import type { Reason } from "../core/decision/decision.ts";
import { DENY_REASONS } from "../core/decision/decision.ts";
import { describedRequest } from "../core/decision/described-request.ts";
import type { Verification } from "../core/decision/ports.ts";
import type { Principal } from "../core/decision/principal.ts";
import { createMigration, enterPhase } from "../core/legacy/migration.ts";
import type { TakeOutcome } from "../core/limits/ports.ts";
import type { OverrideSubject, StoredOverride } from "../core/overrides/override.ts";
import type { Mode, Policy } from "../core/policy/policy.ts";
import { possiblePlans } from "./past-plans.ts";

const REASONS: readonly [Reason, ...Reason[]] = ["allowed", ...DENY_REASONS];

/** A line of the audit log about one request. */
const pastRequest = z.object({
  time: z.iso.datetime(),
  reason: z.enum(REASONS),
  mode: z.enum(["enforce", "shadow"]),
  route: z.string().optional(),
  key_id: z.string().optional(),
  family: z.string().optional(),
  owner: z.string().optional(),
  role: z.string().optional(),
  /** Null: the key had no plan. Absent: an older version wrote the line. */
  plan: z.string().nullable().optional(),
  /** The plan that an override gave the key. */
  override_plan: z.string().optional(),
  scopes: z.array(z.string()).optional(),
  method: z.string().optional(),
  host: z.string().optional(),
  scheme: z.string().optional(),
  path: z.string().optional(),
  raw_path: z.string().optional(),
  cut: z.literal(true).optional(),
  preflight: z.literal(true).optional(),
  extensions: z.record(z.string(), z.string()).optional(),
  address: z.string().optional(),
});

export type PastRequest = z.output<typeof pastRequest>;

/** Parses a line of an audit log; undefined if it is not about a request. */
export function readPastRequest(line: unknown): PastRequest | undefined {
  const parsed = pastRequest.safeParse(line);
  return parsed.success ? parsed.data : undefined;
}

/** The decision of a request: its reason, and the mode if it lets the request through nevertheless. */
export type Outcome = Reason | `${Reason} (shadow)`;

export type Replayed =
  | { readonly determined: true; readonly was: Outcome; readonly wouldBe: Outcome; readonly route: string }
  /** The decision depends on something that the line does not contain. */
  | { readonly determined: false; readonly why: string };

export type Replay = (past: PastRequest) => Promise<Replayed>;

/**
 * Decides past requests under another policy, with the same code that decides Checks. Its ports know only what the line contains. If
 * the decision reads something else, the result is undetermined.
 */
export function createReplay(policy: Policy): Replay {
  let past: PastRequest;
  let undetermined: string | undefined;
  const unknown = <T>(why: string, placeholder: T): T => {
    undetermined ??= why;
    return placeholder;
  };
  const authorize = createAuthorize({
    policy: () => policy,
    verifier: { verify: () => verified(past, unknown) },
    view: { endReason: () => endReasonThen(past, unknown) },
    // A principal is a V1 key here only if it was denied by the phase, so the phase affects no other.
    migration: createMigration(enterPhase(undefined, "removed", true, 0)),
    stalenessMs: () => (past.reason === "revocations_stale" ? Number.POSITIVE_INFINITY : 0),
    overrides: { inForce: (scope, subject) => overrideThen(past, scope, subject), generation: () => 0 },
    buckets: {
      take: (demands, cost, _nowMs, quotas = [], reserve = 0) =>
        taken(past, [...demands, ...quotas], Math.max(cost, reserve), unknown),
    },
    charged: { look: (quotas) => taken(past, quotas, 1, unknown) },
    failures: { take: () => (past.reason === "too_many_failures" ? NO_TOKENS : TOKENS) },
    clientAddress: ({ peerAddress }) => peerAddress,
  });
  const decide = async (request: PastRequest): Promise<Replayed> => {
    [past, undetermined] = [request, missingRequest(request)];
    if (undetermined !== undefined) return { determined: false, why: undetermined };
    const described = describedRequest(describe(past), policy);
    const decision = described.ok
      ? await authorize(described.request, Date.parse(past.time))
      : ({ verdict: "deny", reason: "request_malformed" } as const);
    if (decision.reason === "https_required" && !showsKey(past)) unknown(KEY_UNKNOWN, undefined);
    if (undetermined !== undefined) return { determined: false, why: undetermined };
    const route = "route" in decision ? decision.route : undefined;
    return {
      determined: true,
      was: outcome(past.reason, past.mode),
      wouldBe: outcome(decision.reason, route?.mode ?? policy.mode),
      route: route?.label ?? past.route ?? "none",
    };
  };
  return (request) => withEachPlan(request, policy, decide);
}

/** Decides for each plan that the key may have. The decision is undetermined if it depends on the plan. */
async function withEachPlan(past: PastRequest, policy: Policy, decide: Replay): Promise<Replayed> {
  const [first, ...others] = possiblePlans(past, policy);
  const replayed = await decide({ ...past, plan: first });
  for (const plan of others) {
    const other = await decide({ ...past, plan });
    if (outcomeOf(other) !== outcomeOf(replayed)) return { determined: false, why: PLAN_UNKNOWN };
  }
  return replayed;
}

function outcomeOf(replayed: Replayed): string {
  return replayed.determined ? replayed.wouldBe : replayed.why;
}

function outcome(reason: Reason, mode: Mode): Outcome {
  return mode === "shadow" && reason !== "allowed" ? `${reason} (shadow)` : reason;
}

function missingRequest({ path, raw_path: rawPath, cut }: PastRequest): string | undefined {
  if (path === undefined && rawPath === undefined) return "the request could not be parsed then";
  return cut ? "the log has only a part of its path, or its path without a key" : undefined;
}

function describe(past: PastRequest) {
  const { reason, extensions, preflight } = past;
  const keys = reason === "credential_missing" ? 0 : reason === "credential_ambiguous" ? 2 : 1;
  return {
    method: past.method ?? "",
    path: past.path ?? past.raw_path ?? "",
    host: past.host,
    scheme: past.scheme,
    address: past.address,
    ...(extensions && { extensions }),
    ...(preflight && { headers: PREFLIGHT }),
    ...(keys > 0 && { key: keys === 1 ? "key" : "two keys" }),
  };
}

const PREFLIGHT = { origin: "https://page", "access-control-request-method": "GET" };

/** Marks the decision as undetermined, and returns a placeholder. */
type Unknown = <T>(why: string, placeholder: T) => T;

const KEY_UNKNOWN = "no key was required then, so the log does not show whether one was sent";
const PLAN_UNKNOWN = "the log does not show the plan of the key";
const INVALID = { ok: false, reason: "credential_invalid" } as const;

/** Whether the line shows if a key was sent. The line of a request that was allowed without a key does not. */
function showsKey({ role, reason }: PastRequest): boolean {
  return role !== undefined || !["allowed", "request_malformed", "internal"].includes(reason);
}

function verified(past: PastRequest, unknown: Unknown): Verification {
  const { role, reason } = past;
  if (role !== undefined) return { ok: true, principal: principalOf(past, role) };
  if (reason === "credential_invalid" || reason === "too_many_failures") return INVALID;
  if (reason === "key_expired") return { ok: false, reason, principal: principalOf(past, "") };
  if (reason === "https_required")
    return unknown("the key was not verified then: it came over http", INVALID);
  if (!showsKey(past)) return unknown(KEY_UNKNOWN, INVALID);
  return unknown("the key could not be verified then", INVALID);
}

function principalOf(past: PastRequest, role: string): Principal {
  const { key_id: keyId = "", family = "", owner, plan, scopes = [], reason } = past;
  const end = Number.MAX_SAFE_INTEGER;
  return {
    keyId,
    family,
    role,
    scopes,
    name: "",
    ...(owner !== undefined && { owner }),
    ...(typeof plan === "string" && { plan }),
    ...(reason === "legacy_key_removed" && { legacy: {} }),
    // The line does not contain the binding, but it contains that the binding was violated.
    ...(reason === "certificate_mismatch" && { certificate: "another" }),
    ...(reason === "address_not_allowed" && { nets: [] }),
    issuedAt: 0,
    expiresAt: end,
    refreshAfter: end,
  };
}

/** An override of then applies under the other policy too. The line does not show whether it was of the family or the owner. */
function overrideThen(
  { override_plan: plan }: PastRequest,
  scope: OverrideSubject["scope"],
  subject: string,
): StoredOverride | undefined {
  if (plan === undefined || scope === "owner") return undefined;
  return { kind: "override", scope, subject, version: 0, content: { plan } };
}

/** A revoked key stays revoked under the other policy. */
function endReasonThen({ reason }: PastRequest, unknown: Unknown) {
  if (reason === "revocations_stale") return unknown("the revocation status was unknown then", undefined);
  const ends = ["key_revoked", "key_disabled", "key_superseded"] as const;
  return ends.find((end) => end === reason);
}

const TOKENS: TakeOutcome = { ok: true, rates: [] };
const NO_TOKENS: TakeOutcome = { ok: false, reason: "rate_limited", retryAfterSeconds: 1, rates: [] };

function taken(
  { reason }: PastRequest,
  demands: readonly unknown[],
  cost: number,
  unknown: Unknown,
): TakeOutcome {
  if (demands.length === 0 || cost === 0) return TOKENS;
  if (reason === "rate_limited")
    return unknown("it was rate limited: the log does not show the levels of its buckets", NO_TOKENS);
  if (reason === "quota_exceeded")
    return unknown("its quota was exhausted: the log does not show what was left of others", NO_TOKENS);
  if (reason === "limits_unavailable") return unknown("the limits were unavailable then", NO_TOKENS);
  return reason === "internal" ? unknown("a fault occurred then", NO_TOKENS) : TOKENS;
}
