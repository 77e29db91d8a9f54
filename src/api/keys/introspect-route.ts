import type { Principal } from "../../core/decision/principal.ts";
import { NEVER } from "../../core/keys/key-record.ts";
import { operators } from "../http/access.ts";
import { authenticateKey } from "../http/caller.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint, MAX_TOKEN_BODY_BYTES } from "../http/endpoint.ts";
import { introspectBody, introspection } from "./schemas.ts";

/** RFC 7662, for an operator. The response for an invalid key says only that it is not active, and no reason. */
export function introspectRoute(
  ports: ApiPorts,
  names: { readonly issuer: string; readonly audience: string },
): Endpoint {
  return endpoint({
    method: "POST",
    path: "/api/auth/v2/introspect",
    summary: "Introspect a key (RFC 7662)",
    access: operators(ports, "keys:read"),
    writes: false,
    bodyType: "application/x-www-form-urlencoded",
    body: introspectBody,
    maxBodyBytes: MAX_TOKEN_BODY_BYTES,
    response: { status: 200, description: "The key's state and claims.", schema: introspection },
    async handle({ reply, body }) {
      void reply.header("cache-control", "no-store");
      const found = await authenticateKey(body.token, ports);
      if (!found.ok) return reply.send({ active: false });
      return reply.send({
        ...activeBody(found.holder.principal, found.holder.scopes),
        iss: names.issuer,
        aud: names.audience,
      });
    },
  });
}

function activeBody(principal: Principal, scopes: readonly string[]) {
  return {
    active: true,
    scope: scopes.join(" "),
    username: principal.name,
    token_type: "Bearer",
    ...(principal.expiresAt < NEVER && { exp: principal.expiresAt }),
    iat: principal.issuedAt,
    nbf: principal.issuedAt,
    sub: principal.family,
    jti: principal.keyId,
    role: principal.role,
    ...(principal.plan !== undefined && { plan: principal.plan }),
    family: principal.family,
    ...(principal.owner !== undefined && { owner: principal.owner }),
    ...(principal.nets && { addresses: principal.nets }),
    ...(principal.certificate !== undefined && { cnf: { "x5t#S256": principal.certificate } }),
  };
}
