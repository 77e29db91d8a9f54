import { migrateLegacyKey, registerLegacyKey } from "../../core/legacy/legacy-keys.ts";
import { anyCaller, possessors } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import { originOf } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { registerAs } from "../keys/key-routes.ts";
import { sendDenial, sendIssued } from "../keys/responses.ts";
import { issuedKey } from "../keys/schemas.ts";
import { legacyIssued, legacyRegisterBody, migrateBody } from "./legacy-schemas.ts";

/** The calls for clients that still use opaque (V1) keys. */
export function legacyRoutes(ports: ApiPorts): readonly Endpoint[] {
  return [registerRoute(ports), migrateRoute(ports)];
}

function registerRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "POST",
    path: "/api/auth/register_api_key",
    summary: "Register an opaque (V1) key",
    description:
      "From the phase `gradual` on, a client that sends `Accept-Key-Version: 2` gets a V2 key, as from `/api/auth/v2/register`.",
    access: anyCaller(ports),
    writes: true,
    body: legacyRegisterBody,
    response: {
      status: 201,
      description: "The issued key. No later response contains it.",
      schema: legacyIssued,
    },
    problems: ["grant_refused", "legacy_removed", "too_many_keys"],
    async handle({ request, reply, caller: who, body }) {
      const registration = { name: body.name, role: body.key_type };
      const { phase } = ports.migration.state();
      const wantsV2 = request.headers["accept-key-version"] === "2" && phase !== "silent";
      if (wantsV2 && phase !== "removed") return registerAs(ports, reply, registration, who);
      const result = await registerLegacyKey(ports.registry, registration, who);
      if (result.kind === "refused") return sendDenial(reply, result);
      ports.counters.issued(result.record.role, "registered");
      const { keyId, role } = result.record;
      return reply
        .code(201)
        .header("cache-control", "no-store")
        .send({ api_key: result.key, key_id: keyId, role });
    },
  });
}

function migrateRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "POST",
    path: "/api/auth/v2/migrate",
    summary: "Exchange a V1 key for a V2 key",
    description:
      "The V2 key has the same role and limits. The migration phase decides how long the V1 key stays valid. A repeated call returns the same key, or another key of the family once that key has been refreshed.",
    access: possessors(ports),
    writes: true,
    body: migrateBody,
    response: { status: 201, description: "The V2 key.", schema: issuedKey },
    problems: [
      "credential_invalid",
      "key_expired",
      "key_revoked",
      "key_disabled",
      "key_superseded",
      "legacy_removed",
      "family_too_old",
    ],
    async handle({ request, reply, body }) {
      const origin = originOf(request, { kind: "anonymous", address: "" }, ports);
      const result = await migrateLegacyKey(ports.registry, body.legacy_key, origin);
      if (result.kind === "refused") return sendDenial(reply, result);
      if (!result.replayed) ports.counters.issued(result.record.role, "migrated");
      return sendIssued(reply, result, 201);
    },
  });
}
