import type { FastifyReply } from "fastify";
import type { Issued, Refused, RegistryRefusal } from "../core/registry.ts";
import type { ProblemDetails, ProblemName } from "./problem.ts";
import { sendProblem } from "./problem.ts";
import { formatTime } from "./schemas.ts";

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

interface Told {
  readonly problem: ProblemName;
  readonly details?: ProblemDetails;
}

function field(pointer: string, detail: string): Told {
  return { problem: "request_invalid", details: { errors: [{ pointer, detail }] } };
}

/** How each refusal of the registry is told to callers. */
const TOLD: Readonly<Record<RegistryRefusal, Told>> = {
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
};

export function sendRefused(reply: FastifyReply, refused: Refused): FastifyReply {
  const { problem, details } = TOLD[refused.reason];
  const members =
    refused.refreshAfter === undefined
      ? {}
      : { members: { refresh_after: formatTime(refused.refreshAfter) } };
  return sendProblem(reply, problem, { ...details, ...members });
}
