import { changeKey, listKeys, showKey } from "../../core/keys/key-administration.ts";
import { rotateByOperator } from "../../core/keys/key-renewal.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { sendProblem } from "../http/problem.ts";
import { keyBody, sendDenial, sendIssued } from "../keys/responses.ts";
import { issuedKey } from "../keys/schemas.ts";
import { keyListResponse, keyResponse, listQuery, patchBody, rotateBody } from "./key-schemas.ts";
import { sendQueryProblem, withKeyId } from "./operator-call.ts";
import { revocationRoutes } from "./revocation-routes.ts";

const DEFAULT_PAGE = 100;

/** The calls with which operators manage the keys of others. */
export function operatorRoutes(ports: ApiPorts): readonly Endpoint[] {
  return [
    listRoute(ports),
    showRoute(ports),
    changeRoute(ports),
    rotateRoute(ports),
    ...revocationRoutes(ports),
  ];
}

function listRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/keys",
    summary: "List keys",
    description: "Oldest first. A key is listed if it matches every given filter.",
    access: operators(ports, "keys:read"),
    writes: false,
    query: listQuery,
    response: { status: 200, description: "One page of keys.", schema: keyListResponse },
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
        return sendQueryProblem(call.reply, "cursor", "is not a valid cursor");
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
    response: { status: 200, description: "The record.", schema: keyResponse },
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
    response: { status: 200, description: "The changed record.", schema: keyResponse },
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

function rotateRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "POST",
    path: "/api/admin/keys/{key_id}/rotate",
    summary: "Rotate a key: issue its successor now",
    access: operators(ports, "keys:write"),
    writes: true,
    body: rotateBody,
    response: { status: 200, description: "The successor.", schema: issuedKey },
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
