import { ANYONE } from "../http/access.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { openEndpoint } from "../http/endpoint.ts";
import { jwkSetResponse } from "./schemas.ts";

/** Whoever verifies by it looks again after this; a new key is published at least so long before it signs. */
const MAX_AGE_SECONDS = 300;

/** The public keys by which others, such as Envoy's jwt_authn, verify our keys; none for secrets. */
export function jwksRoute(publicJwks: () => readonly Readonly<Record<string, string>>[]): Endpoint {
  return openEndpoint({
    method: "GET",
    path: "/.well-known/jwks.json",
    summary: "The public keys that verify keys (RFC 7517)",
    description: "Empty where keys are signed by a secret. Whoever verifies by it knows of no revocation.",
    access: ANYONE,
    response: { status: 200, description: "A JWK Set.", schema: jwkSetResponse },
    handle: async ({ reply }) =>
      reply
        .header("cache-control", `public, max-age=${MAX_AGE_SECONDS}`)
        .header("access-control-allow-origin", "*")
        .send({ keys: publicJwks() }),
  });
}
