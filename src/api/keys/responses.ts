import type { FastifyReply } from "fastify";
import type { Principal } from "../../core/decision/principal.ts";
import type { Issued } from "../../core/keys/issued-key.ts";
import { NEVER } from "../../core/keys/key-record.ts";
import type { KeyView } from "../../core/keys/key-view.ts";
import type { DeniedOperation, RegistryDenial } from "../../core/keys/registry-denial.ts";
import { legacyNotice } from "../../core/legacy/migration.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { ProblemDetails, ProblemName } from "../http/problem.ts";
import { sendProblem } from "../http/problem.ts";

/** Formats a NumericDate as RFC 3339: whole seconds in UTC. */
export function formatTime(numericDate: number): string {
  return new Date(numericDate * 1000).toISOString().replace(".000Z", "Z");
}

/** Formats an expiry as {@link formatTime} does; null if there is none. */
export function formatExpiry(numericDate: number): string | null {
  return numericDate >= NEVER ? null : formatTime(numericDate);
}

/** Sends an issued or replayed key. No other response contains one. */
export function sendIssued(reply: FastifyReply, { record, token }: Issued, status: 200 | 201): FastifyReply {
  return reply
    .code(status)
    .header("cache-control", "no-store")
    .send({
      api_key: token,
      key_id: record.keyId,
      role: record.role,
      ...(record.plan !== undefined && { plan: record.plan }),
      scopes: record.scopes,
      expires_at: formatTime(record.expiresAt),
      refresh_after: formatTime(record.refreshAfter),
    });
}

interface ProblemResponse {
  readonly problem: ProblemName;
  readonly details?: ProblemDetails;
}

function field(pointer: string, detail: string): ProblemResponse {
  return { problem: "request_invalid", details: { errors: [{ pointer, detail }] } };
}

/** The problem for each denial of the registry, for the holder of the key. */
const HOLDER_PROBLEMS: Readonly<Record<RegistryDenial, ProblemResponse>> = {
  role_unknown: field("#/key_type", "is not a role of the policy"),
  scope_unknown: field("#/scopes", "contains a scope that the role does not have"),
  ttl_too_long: field("#/ttl", "is longer than the role allows"),
  plan_unknown: field("#/plan", "is not a plan of the policy"),
  quota_unknown: field("#/quotas", "names a quota that is in no plan and no role of the policy"),
  plan_not_assignable: { problem: "plan_not_assignable" },
  override_protected: {
    problem: "plan_not_assignable",
    details: { detail: "The present override has a plan that the caller may not assign." },
  },
  too_many_overrides: { problem: "too_many_overrides", details: { retryAfterSeconds: 3600 } },
  changed_meanwhile: { problem: "changed_meanwhile" },
  operator_required: { problem: "operator_required" },
  grant_refused: { problem: "grant_refused" },
  idempotency_key_reused: { problem: "idempotency_key_reused" },
  idempotency_key_weak: { problem: "idempotency_key_weak" },
  too_many_keys: { problem: "too_many_keys", details: { retryAfterSeconds: 3600 } },
  too_many_owner_keys: { problem: "too_many_owner_keys" },
  key_unknown: { problem: "credential_invalid" },
  key_revoked: { problem: "key_revoked" },
  key_expired: { problem: "key_expired" },
  key_disabled: { problem: "key_disabled" },
  key_superseded: { problem: "key_superseded" },
  refresh_too_early: { problem: "refresh_too_early" },
  already_refreshed: { problem: "already_refreshed" },
  family_too_old: { problem: "family_too_old" },
  legacy_removed: { problem: "legacy_removed" },
};

/** The problems that differ for an operator, because the key is not the caller's own. */
const OPERATOR_OVERRIDES: Partial<Record<RegistryDenial, ProblemResponse>> = {
  key_unknown: { problem: "not_found" },
  role_unknown: { problem: "grant_refused" },
  key_revoked: { problem: "key_ended", details: { detail: "The key has been revoked." } },
  key_expired: { problem: "key_ended", details: { detail: "The key has expired." } },
  key_disabled: { problem: "key_ended", details: { detail: "The key is disabled. Enable it first." } },
  key_superseded: {
    problem: "key_ended",
    details: { detail: "The key has been replaced by its successor." },
  },
};

export function sendDenial(
  reply: FastifyReply,
  denial: DeniedOperation,
  to: "holder" | "operator" = "holder",
): FastifyReply {
  const { problem, details } =
    (to === "operator" && OPERATOR_OVERRIDES[denial.reason]) || HOLDER_PROBLEMS[denial.reason];
  const members =
    denial.refreshAfter === undefined ? {} : { members: { refresh_after: formatTime(denial.refreshAfter) } };
  return sendProblem(reply, problem, { ...details, ...members });
}

/** Adds the headers that announce the end of V1 keys (RFC 9745, RFC 8594) to a response for a V1 key. */
export function addLegacyNotice(reply: FastifyReply, principal: Principal, ports: ApiPorts): FastifyReply {
  const notice = legacyNotice(principal, ports.migration.state(), ports.policy().migration);
  if (notice === undefined) return reply;
  const { deprecatedAt, sunset } = notice;
  void reply
    .header("x-latchkey-upgrade", "v2")
    .header("link", '</api/auth/v2/migrate>; rel="successor-version"');
  if (deprecatedAt !== undefined) void reply.header("deprecation", `@${deprecatedAt}`);
  if (sunset !== undefined) void reply.header("sunset", new Date(sunset * 1000).toUTCString());
  return reply;
}

/** The record of a key, as operators see it. */
export function keyBody({ record, status, lastUsedAt }: KeyView) {
  const time = (numericDate: number | undefined) =>
    numericDate === undefined ? null : formatTime(numericDate);
  const metadata: unknown = record.metadata === undefined ? null : JSON.parse(record.metadata);
  return {
    key_id: record.keyId,
    family: record.family,
    owner: record.owner ?? null,
    role: record.role,
    plan: record.plan ?? null,
    scopes: record.scopes,
    name: record.name,
    metadata,
    status,
    self_service: record.selfService,
    legacy: record.legacy !== undefined,
    migrated_at: time(record.legacy?.migratedAt),
    issued_at: formatTime(record.issuedAt),
    expires_at: formatExpiry(record.expiresAt),
    refresh_after: formatExpiry(record.refreshAfter),
    superseded_by: record.successor?.keyId ?? null,
    superseded_from: time(record.successor?.notAfter),
    revoked_at: time(record.revokedAt),
    last_used_at: time(lastUsedAt),
    addresses: record.nets ?? null,
    cnf: record.certificate === undefined ? null : { "x5t#S256": record.certificate },
  };
}
