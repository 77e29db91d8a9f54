import { migrateLegacyKey, registerLegacyKey } from "../core/legacy-keys.ts";
import { sendIssued, sendRefused } from "./answers.ts";
import { callerOf } from "./caller.ts";
import type { ApiPorts } from "./calls.ts";
import { chargeOpen, originOf, refuseOpen, sendTooMany } from "./calls.ts";
import type { Endpoint } from "./endpoint.ts";
import { endpoint } from "./endpoint.ts";
import { registerAs } from "./key-routes.ts";
import { legacyIssued, legacyRegisterBody, migrateBody } from "./legacy-schemas.ts";
import { issuedKey } from "./schemas.ts";

/** The calls of those who still have opaque (V1) keys. */
export function legacyRoutes(ports: ApiPorts): readonly Endpoint[] {
  return [registerRoute(ports), migrateRoute(ports)];
}

function registerRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "POST",
    path: "/api/auth/register_api_key",
    summary: "Register an opaque (V1) key",
    description:
      "From the phase `gradual` on, a client that sends `Accept-Key-Version: 2` gets what `/api/auth/v2/register` gives.",
    security: "optional",
    body: legacyRegisterBody,
    answer: { status: 201, description: "The key, shown this once.", schema: legacyIssued },
    problems: [
      "request_invalid",
      "operator_required",
      "credential_invalid",
      "grant_refused",
      "legacy_removed",
      "too_many_calls",
      "too_many_keys",
      "store_unavailable",
    ],
    async handle({ request, reply, body }) {
      const registration = { name: body.name, role: body.key_type };
      const { phase } = ports.migration.state();
      const wantsV2 = request.headers["accept-key-version"] === "2" && phase !== "silent";
      if (wantsV2 && phase !== "removed") return registerAs(ports, request, reply, registration);
      const found = await callerOf(request, ports);
      if (!found.ok) return refuseOpen(request, reply, ports, found.problem);
      if (found.caller.kind === "anonymous") {
        const waitSeconds = await chargeOpen(request, ports);
        if (waitSeconds > 0) return sendTooMany(reply, waitSeconds);
      }
      const origin = originOf(request, found.caller, ports);
      const result = await registerLegacyKey(ports.registry, registration, origin);
      if (result.kind === "refused") return sendRefused(reply, result);
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
      "Same role, same limits. The V1 key lives on, as the migration's phase says. Again: the same key, or another of the same family once that has been refreshed.",
    security: "none",
    body: migrateBody,
    answer: { status: 201, description: "The V2 key.", schema: issuedKey },
    problems: [
      "request_invalid",
      "credential_invalid",
      "key_expired",
      "key_revoked",
      "key_disabled",
      "key_superseded",
      "legacy_removed",
      "family_too_old",
      "too_many_calls",
      "store_unavailable",
    ],
    async handle({ request, reply, body }) {
      const origin = originOf(request, { kind: "anonymous", address: "" }, ports);
      const result = await migrateLegacyKey(ports.registry, body.legacy_key, origin);
      if (result.kind === "refused" && result.reason === "key_unknown")
        return refuseOpen(request, reply, ports, "credential_invalid");
      if (result.kind === "refused") return sendRefused(reply, result);
      if (!result.again) ports.counters.issued(result.record.role, "migrated");
      return sendIssued(reply, result, 201);
    },
  });
}
