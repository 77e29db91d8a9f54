import type { FastifyRequest } from "fastify";
import { presentedCredential } from "../core/credential.ts";
import { registerKey } from "../core/key-registration.ts";
import type { Caller } from "../core/operator.ts";
import type { CallOrigin, Registry } from "../core/registry.ts";
import { sendIssued, sendRefused } from "./answers.ts";
import type { CallerPorts } from "./caller.ts";
import { addressOf, callerOf, headersOf, holderOf } from "./caller.ts";
import type { Endpoint } from "./endpoint.ts";
import { endpoint } from "./endpoint.ts";
import { sendProblem } from "./problem.ts";
import { formatTime, issuedKey, registerBody, validKey } from "./schemas.ts";

export interface KeyRoutePorts extends CallerPorts {
  readonly registry: Registry;
  /** Live keys that may have been registered without an operator. */
  readonly selfServiceKeysMax: number;
  readonly issued: (role: string, how: "registered" | "refreshed") => void;
}

/** The calls that holders of keys, and those who want one, make. */
export function keyRoutes(ports: KeyRoutePorts): readonly Endpoint[] {
  return [registerRoute(ports), validateRoute(ports)];
}

function registerRoute(ports: KeyRoutePorts): Endpoint {
  return endpoint({
    method: "POST",
    path: "/api/auth/v2/register",
    summary: "Register a key",
    description:
      "Anyone for a role with `self_service`, else an operator. The key is in this answer and nowhere else.",
    security: "optional",
    body: registerBody,
    idempotent: true,
    answer: { status: 201, description: "The key.", schema: issuedKey },
    problems: [
      "request_invalid",
      "idempotency_key_weak",
      "operator_required",
      "credential_invalid",
      "grant_refused",
      "idempotency_key_reused",
      "too_many_keys",
      "store_unavailable",
    ],
    async handle({ request, reply, body }) {
      const found = await callerOf(request, ports);
      if (!found.ok) return sendProblem(reply, found.problem);
      const { name, key_type, metadata, scopes, ttl, owner } = body;
      const idempotencyKey = idempotencyKeyOf(request);
      const registration = {
        role: key_type,
        name,
        ...(metadata && { metadata: JSON.stringify(metadata) }),
        ...(scopes && { scopes }),
        ...(ttl !== undefined && { ttlSeconds: ttl }),
        ...(owner !== undefined && { owner }),
        ...(idempotencyKey !== undefined && { idempotencyKey }),
      };
      const origin = originOf(request, found.caller, ports);
      const result = await registerKey(ports.registry, registration, origin, ports.selfServiceKeysMax);
      if (result.kind === "refused") return sendRefused(reply, result);
      if (!result.again) ports.issued(result.record.role, "registered");
      return sendIssued(reply, result, 201);
    },
  });
}

function validateRoute(ports: KeyRoutePorts): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/auth/v2/validate",
    summary: "Validate a key",
    description: "Says what the presented key is and may do.",
    security: "key",
    answer: { status: 200, description: "The key is good.", schema: validKey },
    problems: [
      "credential_missing",
      "credential_ambiguous",
      "credential_invalid",
      "key_expired",
      "key_revoked",
      "key_disabled",
      "key_superseded",
      "credential_unavailable",
    ],
    async handle({ request, reply }) {
      const presented = presentedCredential({ headers: headersOf(request) }, ["authorization", "x-api-key"]);
      if (presented.kind !== "one")
        return sendProblem(reply, presented.kind === "none" ? "credential_missing" : "credential_ambiguous");
      const found = await holderOf(presented.token, ports);
      if (!found.ok) return sendProblem(reply, found.problem);
      const { principal, scopes } = found.holder;
      return reply.header("cache-control", "no-store").send({
        valid: true,
        key_id: principal.keyId,
        role: principal.role,
        scopes,
        expires_at: formatTime(principal.expiresAt),
      });
    },
  });
}

/** The `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header), whatever stands in it. */
function idempotencyKeyOf(request: FastifyRequest): string | undefined {
  const value = request.headers["idempotency-key"];
  return typeof value === "string" && value !== "" ? value : undefined;
}

function originOf(request: FastifyRequest, caller: Caller, ports: CallerPorts): CallOrigin {
  return { caller, address: addressOf(request, ports), requestId: request.id };
}
