import { z } from "zod";
import { ANYONE } from "../http/access.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { openEndpoint } from "../http/endpoint.ts";

/** How long verifiers may cache the set. A new key is published at least this long before it signs. */
const MAX_AGE_SECONDS = 300;

export const jwkSetResponse = z
  .object({ keys: z.array(z.record(z.string(), z.string())) })
  .meta({ title: "JwkSet", description: "RFC 7517, public members only." });

/** The public keys with which others, such as Envoy's jwt_authn, verify our keys. Secrets are never published. */
export function jwksRoute(publicJwks: () => readonly Readonly<Record<string, string>>[]): Endpoint {
  return openEndpoint({
    method: "GET",
    path: "/.well-known/jwks.json",
    summary: "The public keys that verify keys (RFC 7517)",
    description:
      "The set is empty if a secret signs the keys. A verifier that uses this set does not see revocations.",
    access: ANYONE,
    response: { status: 200, description: "A JWK Set.", schema: jwkSetResponse },
    handle: async ({ reply }) =>
      reply
        .header("cache-control", `public, max-age=${MAX_AGE_SECONDS}`)
        .header("access-control-allow-origin", "*")
        .send({ keys: publicJwks() }),
  });
}
