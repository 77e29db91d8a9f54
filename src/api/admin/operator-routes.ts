import { changeKey, listKeys, showKey } from "../../core/keys/key-administration.ts";
import { isFamilyId } from "../../core/keys/key-record.ts";
import { rotateByOperator } from "../../core/keys/key-renewal.ts";
import { revokeFamily, revokeIssuedBefore, revokeOne, revokeOwner } from "../../core/keys/key-revocation.ts";
import { isForeignId } from "../../core/policy/issuer.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { sendProblem } from "../http/problem.ts";
import { keyBody, sendDenial, sendIssued } from "../keys/responses.ts";
import {
  cutOffBody,
  issuedKey,
  keyListResponse,
  keyResponse,
  listQuery,
  OWNER_NAME,
  patchBody,
  revokeQuery,
  rotateBody,
} from "../keys/schemas.ts";
import { sendPathProblem, withKeyId } from "./operator-call.ts";

const DEFAULT_PAGE = 100;

/** The calls of those who may manage other people's keys. */
export function operatorRoutes(ports: ApiPorts): readonly Endpoint[] {
  return [
    listRoute(ports),
    showRoute(ports),
    changeRoute(ports),
    revokeRoute(ports),
    rotateRoute(ports),
    revokeFamilyRoute(ports),
    revokeOwnerRoute(ports),
    cutOffRoute(ports),
  ];
}

function listRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/keys",
    summary: "List keys",
    description: "Oldest first. Every filter that is given must fit.",
    access: operators(ports, "keys:read"),
    writes: false,
    query: listQuery,
    answer: { status: 200, description: "A page.", schema: keyListResponse },
    handle: async (call) => {
      const { cursor, limit, name_prefix, expiring_before, role, owner, family, status } = call.query;
      const filter = {
        ...(role !== undefined && { role }),
        ...(owner !== undefined && { owner }),
        ...(family !== undefined && { family }),
        ...(status !== undefined && { status }),
        ...(name_prefix !== undefined && { namePrefix: name_prefix }),
        ...(expiring_before !== undefined && { expiringBefore: expiring_before }),
      };
      const page = { limit: limit ?? DEFAULT_PAGE, ...(cursor !== undefined && { cursor }) };
      const found = await listKeys(ports.registry, filter, page);
      if (found === "cursor_unknown") {
        return sendProblem(call.reply, "request_invalid", {
          errors: [{ pointer: "#/query/cursor", detail: "no such cursor" }],
        });
      }
      return call.reply.send({ keys: found.views.map(keyBody), next_cursor: found.nextCursor ?? null });
    },
  });
}

function showRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/keys/{key_id}",
    summary: "Show a key's record",
    access: operators(ports, "keys:read"),
    writes: false,
    answer: { status: 200, description: "The record.", schema: keyResponse },
    problems: ["not_found"],
    handle: (call) =>
      withKeyId(call, async (keyId) => {
        const view = await showKey(ports.registry, keyId);
        return view === undefined ? sendProblem(call.reply, "not_found") : call.reply.send(keyBody(view));
      }),
  });
}

function changeRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "PATCH",
    path: "/api/admin/keys/{key_id}",
    summary: "Rename, annotate, disable or enable a key",
    access: operators(ports, "keys:write"),
    writes: true,
    body: patchBody,
    answer: { status: 200, description: "The record as it is now.", schema: keyResponse },
    problems: ["not_found", "grant_refused", "key_ended"],
    handle: (call) =>
      withKeyId(call, async (keyId, origin) => {
        const { name, disabled, metadata } = call.body;
        const patch = {
          ...(name !== undefined && { name }),
          ...(disabled !== undefined && { disabled }),
          ...(metadata !== undefined && { metadata: metadata && JSON.stringify(metadata) }),
        };
        const result = await changeKey(ports.registry, keyId, patch, origin);
        return "kind" in result
          ? sendDenial(call.reply, result, "operator")
          : call.reply.send(keyBody(result));
      }),
  });
}

function revokeRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "DELETE",
    path: "/api/admin/keys/{key_id}",
    summary: "Revoke one key",
    description:
      "This key alone; its family goes by `/api/admin/families/{family}`. Doing it again changes nothing. With `without_record=true` also a key of which there is no record: Redis may have lost it.",
    access: operators(ports, "keys:write"),
    writes: true,
    query: revokeQuery,
    answer: { status: 204, description: "It has ended." },
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

function rotateRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "POST",
    path: "/api/admin/keys/{key_id}/rotate",
    summary: "Give a key its successor now",
    access: operators(ports, "keys:write"),
    writes: true,
    body: rotateBody,
    answer: { status: 200, description: "The successor.", schema: issuedKey },
    problems: ["not_found", "grant_refused", "key_ended", "already_refreshed", "family_too_old"],
    handle: (call) =>
      withKeyId(call, async (keyId, origin) => {
        const result = await rotateByOperator(ports.registry, keyId, call.body.overlap, origin);
        if (result.kind === "refused") return sendDenial(call.reply, result, "operator");
        ports.counters.issued(result.record.role, "rotated");
        return sendIssued(call.reply, result, 200);
      }),
  });
}

function revokeFamilyRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "DELETE",
    path: "/api/admin/families/{family}",
    summary: "Revoke a family",
    description:
      "Every key that came of one registration, those too that a refresh makes at this moment. Unknown families end as well.",
    access: operators(ports, "keys:write"),
    writes: true,
    answer: { status: 204, description: "It has ended." },
    handle: async (call) => {
      const origin = call.who;
      const family = call.param("family");
      if (!isFamilyId(family) && !isForeignId(family))
        return sendPathProblem(
          call,
          "family",
          "is not the id of a family: those look like fam_…, and ISSUER:ID for another issuer's",
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
      "Those that exist now; keys that the owner gets later are good. A family without an owner is its own owner.",
    access: operators(ports, "keys:write"),
    writes: true,
    answer: { status: 204, description: "They have ended." },
    handle: async (call) => {
      const origin = call.who;
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
    summary: "End every key that was issued before a moment",
    description:
      "The incident switch: for all keys, those of a role or those of an owner. Keys issued later are good.",
    access: operators(ports, "system:write"),
    writes: true,
    body: cutOffBody,
    answer: { status: 204, description: "They have ended." },
    handle: async (call) => {
      const origin = call.who;
      const { before, role, owner } = call.body;
      if ((before - 1) * 1000 >= ports.nowMs()) return sendPathProblem(call, "before", "lies ahead");
      // In an incident nobody may believe that a misspelt role has been cut off.
      if (role !== undefined && !ports.policy().roles.has(role))
        return sendPathProblem(call, "role", "is no role of the policy");
      const subject = { ...(role !== undefined && { role }), ...(owner !== undefined && { owner }) };
      const { replayed } = await revokeIssuedBefore(ports.registry, before, subject, origin);
      if (!replayed) ports.counters.revoked("cut_off");
      return call.reply.code(204).send();
    },
  });
}

function isOwnerName(text: string): boolean {
  return OWNER_NAME.test(text) || isForeignId(text);
}
