import { listKeys } from "../../core/keys/key-listing.ts";
import { rotateByOwner } from "../../core/keys/key-renewal.ts";
import { revokeFamily, revokeOne } from "../../core/keys/key-revocation.ts";
import { maxOwnerKeys } from "../../core/sign-in/sign-in-policy.ts";
import { familyRows } from "../../core/usage/usage-report.ts";
import { rotateBody } from "../admin/key-schemas.ts";
import { sendQueryProblem } from "../admin/operator-call.ts";
import { idempotencyKeyOf } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { registerAs } from "../keys/key-routes.ts";
import { keyBody, sendDenial, sendIssued } from "../keys/responses.ts";
import { issuedKey } from "../keys/schemas.ts";
import type { UsagePorts } from "../keys/usage-body.ts";
import { reportBody, rowBody, spanOf } from "../keys/usage-body.ts";
import type { LimitLevels } from "../keys/usage-routes.ts";
import { holderLimitsBody } from "../keys/usage-routes.ts";
import { holderLimitsResponse, usageQuery, usageResponse } from "../keys/usage-schemas.ts";
import { withOwnKey } from "./own-key.ts";
import type { OwnerPorts } from "./owner-access.ts";
import { signedInHolders } from "./owner-access.ts";
import { ownKeyListResponse, ownListQuery, ownRegisterBody, ownRevokeQuery } from "./owner-schemas.ts";

const DEFAULT_PAGE = 100;

/** The calls with which a holder that has signed in manages the keys of its owner, and of no other. */
export function ownerRoutes(ports: OwnerPorts, usage: UsagePorts, limits: LimitLevels): readonly Endpoint[] {
  return [
    listRoute(ports),
    createRoute(ports),
    rotateRoute(ports),
    revokeRoute(ports),
    limitsRoute(ports, limits),
    usageRoute(ports, usage),
  ];
}

function listRoute(ports: OwnerPorts): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/owner/keys",
    summary: "List the keys of the signed-in holder",
    description: "Oldest first. The call counts against `guards.open_calls`.",
    access: signedInHolders(ports),
    writes: false,
    query: ownListQuery,
    response: { status: 200, description: "One page of keys.", schema: ownKeyListResponse },
    problems: ["store_unavailable"],
    async handle({ reply, caller, query: { cursor, limit, status, name_prefix } }) {
      const filter = {
        owner: caller.owner.owner,
        ...(status !== undefined && { status }),
        ...(name_prefix !== undefined && { namePrefix: name_prefix }),
      };
      const page = { limit: limit ?? DEFAULT_PAGE, ...(cursor !== undefined && { cursor }) };
      const found = await listKeys(ports.registry, filter, page);
      if (found === "cursor_unknown") return sendQueryProblem(reply, "cursor", "is not a valid cursor");
      const { views, examined, nextCursor } = found;
      const body = {
        ...{ keys: views.map(keyBody), examined, next_cursor: nextCursor ?? null },
        counted_keys: await countOwnKeys(ports, caller.owner.owner),
        max_keys: maxOwnerKeys(ports.policy().signIn),
      };
      return reply.header("cache-control", "no-store").send(body);
    },
  });
}

function countOwnKeys({ registry, nowMs }: OwnerPorts, owner: string): Promise<number> {
  const legacyEnded = registry.migration.state().phase === "removed";
  return registry.store.countOwned(owner, Math.floor(nowMs() / 1000), legacyEnded);
}

function createRoute(ports: OwnerPorts): Endpoint {
  return endpoint({
    method: "POST",
    path: "/api/owner/keys",
    summary: "Create a key of the signed-in holder",
    description:
      "The role must be a self-service role or one of `console.holders.roles`. The key counts against `guards.self_service_keys` and `console.holders.max_keys`. Only this response contains the key.",
    access: signedInHolders(ports),
    writes: true,
    body: ownRegisterBody,
    idempotent: true,
    response: { status: 201, description: "The issued key.", schema: issuedKey },
    problems: ["grant_refused", "idempotency_key_reused", "too_many_keys", "too_many_owner_keys"],
    handle({ request, reply, caller, body }) {
      const { name, key_type: role, metadata, scopes, ttl, addresses, cnf } = body;
      const idempotencyKey = idempotencyKeyOf(request);
      const registration = {
        ...{ role, name, owner: caller.owner.owner },
        ...(metadata && { metadata: JSON.stringify(metadata) }),
        ...(scopes && { scopes }),
        ...(ttl !== undefined && { ttlSeconds: ttl }),
        ...(addresses && { nets: [...new Set(addresses)] }),
        ...(cnf && { certificate: cnf["x5t#S256"] }),
        ...(idempotencyKey !== undefined && { idempotencyKey }),
      };
      return registerAs(ports, reply, registration, caller.origin);
    },
  });
}

function rotateRoute(ports: OwnerPorts): Endpoint {
  return endpoint({
    method: "POST",
    path: "/api/owner/keys/{key_id}/rotate",
    summary: "Rotate a key of the signed-in holder: issue its successor now",
    description:
      "The holder must be permitted to create a key of this role. Send an `Idempotency-Key`: if the response is lost, a repeated call with the same value returns the same successor.",
    access: signedInHolders(ports),
    writes: true,
    body: rotateBody,
    idempotent: true,
    response: { status: 200, description: "The successor.", schema: issuedKey },
    problems: [
      "not_found",
      "grant_refused",
      "key_ended",
      "already_refreshed",
      "family_too_old",
      "too_many_owner_keys",
    ],
    handle: (call) =>
      withOwnKey(ports, call, async ({ keyId }) => {
        const options = { overlapSeconds: call.body.overlap, idempotencyKey: idempotencyKeyOf(call.request) };
        const result = await rotateByOwner(ports.registry, keyId, options, call.caller.origin);
        if (result.kind === "refused") return sendDenial(call.reply, result, "operator");
        if (!result.replayed) ports.counters.issued(result.record.role, "rotated");
        return sendIssued(call.reply, result, 200);
      }),
  });
}

function revokeRoute(ports: OwnerPorts): Endpoint {
  return endpoint({
    method: "DELETE",
    path: "/api/owner/keys/{key_id}",
    summary: "Revoke a key of the signed-in holder",
    description: "Revokes one key, or its whole family with `family=true`. The call is idempotent.",
    access: signedInHolders(ports),
    writes: true,
    query: ownRevokeQuery,
    response: { status: 204, description: "Revoked." },
    problems: ["not_found"],
    handle: (call) =>
      withOwnKey(ports, call, async ({ keyId, family }) => {
        const { origin } = call.caller;
        const result = call.query.family
          ? await revokeFamily(ports.registry, family, origin)
          : await revokeOne(ports.registry, keyId, origin);
        if (result.kind === "refused") return sendDenial(call.reply, result, "operator");
        if (!result.replayed) ports.counters.revoked("holder");
        return call.reply.code(204).send();
      }),
  });
}

function limitsRoute(ports: OwnerPorts, limits: LimitLevels): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/owner/keys/{key_id}/limits",
    summary: "Show the limits of a key of the signed-in holder",
    description: "The call counts against `guards.open_calls`.",
    access: signedInHolders(ports),
    writes: false,
    response: { status: 200, description: "The limits of the key.", schema: holderLimitsResponse },
    problems: ["not_found", "request_invalid", "store_unavailable"],
    handle: (call) =>
      withOwnKey(ports, call, async (record) =>
        call.reply.header("cache-control", "no-store").send(await holderLimitsBody(ports, limits, record)),
      ),
  });
}

function usageRoute(ports: OwnerPorts, usage: UsagePorts): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/owner/keys/{key_id}/usage",
    summary: "Show the usage of a key of the signed-in holder",
    description: "Returns the usage of the key's family. The call counts against `guards.open_calls`.",
    access: signedInHolders(ports),
    writes: false,
    query: usageQuery,
    response: { status: 200, description: "The usage.", schema: usageResponse },
    problems: ["not_found", "store_unavailable"],
    handle: (call) =>
      withOwnKey(ports, call, async ({ family }) => {
        const span = spanOf(call.query, usage, call.reply);
        if (span === undefined) return call.reply;
        const rows = await familyRows(usage.store, { family, owner: call.caller.owner.owner }, span);
        const body = { ...reportBody(span, usage), usage: rows.map(rowBody) };
        return call.reply.header("cache-control", "no-store").send(body);
      }),
  });
}
