import type { FastifyReply } from "fastify";
import type { DeniedOperation, RegistryDenial } from "../../core/keys/denial.ts";
import type { Issued } from "../../core/keys/issued-key.ts";
import type { KeyView } from "../../core/keys/key-administration.ts";
import type { ProblemDetails, ProblemName } from "../http/problem.ts";
import { sendProblem } from "../http/problem.ts";
import { formatEnd, formatTime } from "./schemas.ts";

/** The key that was made, or made again: the only answer that ever holds one. */
export function sendIssued(reply: FastifyReply, { record, token }: Issued, status: 200 | 201): FastifyReply {
  return reply
    .code(status)
    .header("cache-control", "no-store")
    .send({
      api_key: token,
      key_id: record.keyId,
      role: record.role,
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

/** How each refusal of the registry is told to callers. */
const HOLDER_PROBLEMS: Readonly<Record<RegistryDenial, ProblemResponse>> = {
  role_unknown: field("#/key_type", "no such role"),
  scope_unknown: field("#/scopes", "the role does not have all of these scopes"),
  ttl_too_long: field("#/ttl", "longer than the role allows"),
  operator_required: { problem: "operator_required" },
  grant_refused: { problem: "grant_refused" },
  idempotency_key_reused: { problem: "idempotency_key_reused" },
  idempotency_key_weak: { problem: "idempotency_key_weak" },
  too_many_keys: { problem: "too_many_keys", details: { retryAfterSeconds: 3600 } },
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

/** What an operator is told instead: the key in question is not the caller's own. */
const OPERATOR_OVERRIDES: Partial<Record<RegistryDenial, ProblemResponse>> = {
  key_unknown: { problem: "not_found" },
  role_unknown: { problem: "grant_refused" },
  key_revoked: { problem: "key_ended", details: { detail: "The key has been revoked." } },
  key_expired: { problem: "key_ended", details: { detail: "The key has expired." } },
  key_disabled: { problem: "key_ended", details: { detail: "The key is disabled: enable it first." } },
  key_superseded: {
    problem: "key_ended",
    details: { detail: "The key has been replaced by its successor." },
  },
};

export function sendDenial(
  reply: FastifyReply,
  refused: DeniedOperation,
  to: "holder" | "operator" = "holder",
): FastifyReply {
  const { problem, details } =
    (to === "operator" && OPERATOR_OVERRIDES[refused.reason]) || HOLDER_PROBLEMS[refused.reason];
  const members =
    refused.refreshAfter === undefined
      ? {}
      : { members: { refresh_after: formatTime(refused.refreshAfter) } };
  return sendProblem(reply, problem, { ...details, ...members });
}

/** A record as operators see it. */
export function keyBody({ record, status, lastUsedAt }: KeyView) {
  const time = (numericDate: number | undefined) =>
    numericDate === undefined ? null : formatTime(numericDate);
  const metadata: unknown = record.metadata === undefined ? null : JSON.parse(record.metadata);
  return {
    key_id: record.keyId,
    family: record.family,
    owner: record.owner ?? null,
    role: record.role,
    scopes: record.scopes,
    name: record.name,
    metadata,
    status,
    self_service: record.selfService,
    legacy: record.legacy !== undefined,
    migrated_at: time(record.legacy?.migratedAt),
    issued_at: formatTime(record.issuedAt),
    expires_at: formatEnd(record.expiresAt),
    refresh_after: formatEnd(record.refreshAfter),
    superseded_by: record.successor?.keyId ?? null,
    superseded_from: time(record.successor?.notAfter),
    revoked_at: time(record.revokedAt),
    last_used_at: time(lastUsedAt),
    addresses: record.nets ?? null,
    cnf: record.certificate === undefined ? null : { "x5t#S256": record.certificate },
  };
}
