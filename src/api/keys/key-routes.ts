import type { FastifyReply, FastifyRequest } from "fastify";
import type { z } from "zod";
import type { Principal } from "../../core/decision/principal.ts";
import type { Registration } from "../../core/keys/key-registration.ts";
import { registerKey } from "../../core/keys/key-registration.ts";
import { refreshByHolder } from "../../core/keys/key-renewal.ts";
import { revokeByHolder } from "../../core/keys/key-revocation.ts";
import type { CallOrigin } from "../../core/keys/operation-audit.ts";
import { anyCaller, KEY_PROBLEMS, keyHolders, possessors } from "../http/access.ts";
import { authenticateHolder } from "../http/caller.ts";
import type { ApiPorts } from "../http/calls.ts";
import { idempotencyKeyOf, originOf, originOfHolder } from "../http/calls.ts";
import type { Call, Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { sendProblem } from "../http/problem.ts";
import { addressOf } from "../http/request-facts.ts";

import { addLegacyNotice, formatExpiry, sendDenial, sendIssued } from "./responses.ts";
import { issuedKey, possessionBody, registerBody, validKey } from "./schemas.ts";

/** The calls for holders of keys and for clients that register a key. */
export function keyRoutes(ports: ApiPorts): readonly Endpoint[] {
  return [registerRoute(ports), validateRoute(ports), refreshRoute(ports), revokeRoute(ports)];
}

function registerRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "POST",
    path: "/api/auth/v2/register",
    summary: "Register a key",
    description:
      "A role with `self_service` requires no credential. Other roles require an operator. Only this response contains the key.",
    access: anyCaller(ports),
    writes: true,
    body: registerBody,
    idempotent: true,
    response: { status: 201, description: "The issued key.", schema: issuedKey },
    problems: [
      "idempotency_key_weak",
      "grant_refused",
      "plan_not_assignable",
      "idempotency_key_reused",
      "too_many_keys",
    ],
    handle({ request, reply, caller: who, body }) {
      const { name, key_type: role, metadata, scopes, ttl, owner, plan, addresses, cnf } = body;
      const idempotencyKey = idempotencyKeyOf(request);
      return registerAs(
        ports,
        reply,
        {
          role,
          name,
          ...(metadata && { metadata: JSON.stringify(metadata) }),
          ...(scopes && { scopes }),
          ...(ttl !== undefined && { ttlSeconds: ttl }),
          ...(owner !== undefined && { owner }),
          ...(plan !== undefined && { plan }),
          ...(addresses && { nets: [...new Set(addresses)] }),
          ...(cnf && { certificate: cnf["x5t#S256"] }),
          ...(idempotencyKey !== undefined && { idempotencyKey }),
        },
        who,
      );
    },
  });
}

/** Registers a V2 key on behalf of the caller and sends it. */
export async function registerAs(
  ports: ApiPorts,
  reply: FastifyReply,
  registration: Registration,
  origin: CallOrigin,
): Promise<FastifyReply> {
  const result = await registerKey(ports.registry, registration, origin);
  if (result.kind === "refused") return sendDenial(reply, result);
  if (!result.replayed) ports.counters.issued(result.record.role, "registered");
  return sendIssued(reply, result, 201);
}

function validateRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/auth/v2/validate",
    summary: "Validate a key",
    description: "Returns the role, scopes and expiry of the presented key.",
    access: keyHolders(ports),
    writes: false,
    response: { status: 200, description: "The key is valid.", schema: validKey },
    async handle({ reply, caller: { principal, scopes } }) {
      return addLegacyNotice(reply.header("cache-control", "no-store"), principal, ports).send({
        valid: true,
        key_id: principal.keyId,
        role: principal.role,
        ...(principal.plan !== undefined && { plan: principal.plan }),
        scopes,
        expires_at: formatExpiry(principal.expiresAt),
      });
    },
  });
}

function refreshRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "POST",
    path: "/api/auth/v2/refresh",
    summary: "Refresh a key",
    description:
      "Issues the successor of the key, from `refresh_after` on. A key has one successor. Send an `Idempotency-Key`: if the response is lost, a repeated call with the same value returns the same successor.",
    access: possessors(ports),
    writes: true,
    body: possessionBody,
    idempotent: true,
    response: { status: 200, description: "The successor.", schema: issuedKey },
    problems: [...KEY_PROBLEMS, "refresh_too_early", "already_refreshed", "family_too_old"],
    handle: (call) => refresh(ports, call),
  });
}

async function refresh(ports: ApiPorts, { request, reply, body }: PossessionCall): Promise<FastifyReply> {
  const found = await authenticateHolder(body.current_key, request, ports, true);
  if (!found.ok) {
    ports.counters.refreshed(undefined, found.problem);
    return sendProblem(reply, found.problem);
  }
  if (found.holder.principal.legacy !== undefined) {
    const errors = [
      { pointer: "#/current_key", detail: "is a V1 key: exchange it with /api/auth/v2/migrate" },
    ];
    return sendProblem(reply, "request_invalid", { errors });
  }
  const origin = originOfHolder(request, found.holder, ports);
  const result = await refreshByHolder(
    ports.registry,
    found.holder.principal,
    idempotencyKeyOf(request),
    origin,
  );
  const { role } = found.holder.principal;
  if (result.kind === "refused") {
    ports.counters.refreshed(role, result.reason);
    return sendDenial(reply, result);
  }
  ports.counters.refreshed(role, result.replayed ? "replayed" : "refreshed");
  if (!result.replayed) ports.counters.issued(role, "refreshed");
  return sendIssued(reply, result, 200);
}

type PossessionCall = Call<z.output<typeof possessionBody>, unknown>;

function revokeRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "POST",
    path: "/api/auth/v2/revoke",
    summary: "Revoke the presented key",
    description: "Revokes the key, its predecessors and its successors. The call is idempotent.",
    access: possessors(ports),
    writes: true,
    body: possessionBody,
    response: { status: 204, description: "Revoked." },
    problems: ["credential_invalid"],
    async handle({ request, reply, body }) {
      const holder = await verifyPossession(body.current_key, request, ports);
      if (holder === undefined) return sendProblem(reply, "credential_invalid");
      const origin = originOf(request, { kind: "holder", id: holder.keyId }, ports);
      const result = await revokeByHolder(ports.registry, holder, origin);
      if (!result.replayed) ports.counters.revoked("holder");
      return reply.code(204).send();
    },
  });
}

/** The holder of a key with a valid signature. An expired key counts too, because its family can still be revoked. */
async function verifyPossession(
  token: string,
  request: FastifyRequest,
  ports: ApiPorts,
): Promise<Principal | undefined> {
  const verified = await ports.verifier.verify(token, ports.nowMs(), () => addressOf(request, ports));
  return verified.ok || verified.reason === "key_expired" ? verified.principal : undefined;
}
