import { isFamilyId } from "../../core/keys/key-record.ts";
import {
  isInFuture,
  revokeFamily,
  revokeIssuedBefore,
  revokeOne,
  revokeOwner,
} from "../../core/keys/key-revocation.ts";
import { isForeignId } from "../../core/policy/issuer.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { sendDenial } from "../keys/responses.ts";
import { isOwnerName } from "../keys/schemas.ts";
import { cutOffBody, revokeQuery } from "./key-schemas.ts";
import { sendPathProblem, withKeyId } from "./operator-call.ts";

/** The calls with which operators revoke keys: one key, a family, an owner's keys, or all keys before a time. */
export function revocationRoutes(ports: ApiPorts): readonly Endpoint[] {
  return [revokeRoute(ports), revokeFamilyRoute(ports), revokeOwnerRoute(ports), cutOffRoute(ports)];
}

function revokeRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "DELETE",
    path: "/api/admin/keys/{key_id}",
    summary: "Revoke one key",
    description:
      "Revokes this key only; `/api/admin/families/{family}` revokes its family. The call is idempotent. With `without_record=true` it also revokes a key that has no record, for example because Redis lost it.",
    access: operators(ports, "keys:write"),
    writes: true,
    query: revokeQuery,
    response: { status: 204, description: "Revoked." },
    problems: ["not_found"],
    handle: (call) =>
      withKeyId(call, async (keyId, origin) => {
        const result = await revokeOne(ports.registry, keyId, origin, call.query.without_record);
        if (result.kind === "refused") return sendDenial(call.reply, result, "operator");
        if (!result.replayed) ports.counters.revoked("operator");
        return call.reply.code(204).send();
      }),
  });
}

function revokeFamilyRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "DELETE",
    path: "/api/admin/families/{family}",
    summary: "Revoke a family",
    description:
      "Revokes every key that descends from one registration, including a key that a concurrent refresh issues. A family without a record is revoked too.",
    access: operators(ports, "keys:write"),
    writes: true,
    response: { status: 204, description: "Revoked." },
    handle: async (call) => {
      const origin = call.caller;
      const family = call.param("family");
      if (!isFamilyId(family) && !isForeignId(family))
        return sendPathProblem(
          call,
          "family",
          "is not a family id: it must look like fam_…, or ISSUER:ID for a family of another issuer",
        );
      const { replayed } = await revokeFamily(ports.registry, family, origin);
      if (!replayed) ports.counters.revoked("operator");
      return call.reply.code(204).send();
    },
  });
}

function revokeOwnerRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "DELETE",
    path: "/api/admin/owners/{owner}",
    summary: "Revoke all keys of an owner",
    description:
      "Revokes the keys that exist now. Keys that are issued to the owner later are valid. A family without an owner is its own owner.",
    access: operators(ports, "keys:write"),
    writes: true,
    response: { status: 204, description: "Revoked." },
    handle: async (call) => {
      const origin = call.caller;
      const owner = call.param("owner");
      if (!isOwnerName(owner)) return sendPathProblem(call, "owner", "is not the name of an owner");
      const { replayed } = await revokeOwner(ports.registry, owner, origin);
      if (!replayed) ports.counters.revoked("operator");
      return call.reply.code(204).send();
    },
  });
}

function cutOffRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "POST",
    path: "/api/admin/revoke-issued-before",
    summary: "Revoke every key that was issued before a time",
    description:
      "For incidents. Applies to all keys, to the keys of a role, or to the keys of an owner. Keys that are issued later are valid.",
    access: operators(ports, "system:write"),
    writes: true,
    body: cutOffBody,
    response: { status: 204, description: "Revoked." },
    handle: async (call) => {
      const origin = call.caller;
      const { before, role, owner } = call.body;
      if (isInFuture(before, ports.nowMs()))
        return sendPathProblem(call, "before", "must not be in the future");
      // A misspelt role must fail: otherwise the operator believes that its keys are revoked.
      if (role !== undefined && !ports.policy().roles.has(role))
        return sendPathProblem(call, "role", "is not a role of the policy");
      const subject = { ...(role !== undefined && { role }), ...(owner !== undefined && { owner }) };
      const { replayed } = await revokeIssuedBefore(ports.registry, before, subject, origin);
      if (!replayed) ports.counters.revoked("cut_off");
      return call.reply.code(204).send();
    },
  });
}
