import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:http";
import { importJWK, SignJWT } from "jose";
import type { TestJwk } from "./jwk.ts";
import { jwkSet, newJwk, publicPart } from "./jwk.ts";

export interface TestedIssuer {
  readonly issuer: string;
  readonly jwksUri: string;
  /** The number of fetches of its keys. */
  asked(): number;
  /** The text of its JWK Set. */
  published(): string;
  /** Replaces its keys; the first signs. */
  rotate(...keys: readonly TestJwk[]): void;
  /** Responds with this from now on; undefined restores the regular response. */
  answer(how: Answer | undefined): void;
  token(
    claims?: Readonly<Record<string, unknown>>,
    header?: Readonly<Record<string, unknown>>,
  ): Promise<string>;
  stop(): Promise<void>;
}

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Another party that issues tokens: a real HTTP server with its keys. */
export async function startIssuer(...first: readonly TestJwk[]): Promise<TestedIssuer> {
  let keys: readonly TestJwk[] = first.length > 0 ? first : [newJwk("ES256", "one")];
  let how: Answer | undefined;
  let asked = 0;
  const server = createServer((request, response) => {
    asked++;
    if (how !== undefined) how(request, response);
    else response.setHeader("content-type", "application/json").end(published());
  });
  const published = () => jwkSet(...keys.map(publicPart));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const origin = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  return {
    issuer: origin,
    jwksUri: `${origin}/keys`,
    asked: () => asked,
    published,
    rotate(...next) {
      keys = next;
    },
    answer(next) {
      how = next;
    },
    async token(claims = {}, header = {}) {
      const [jwk] = keys;
      const nowSeconds = Math.floor(Date.now() / 1000);
      const times = { iat: nowSeconds, exp: nowSeconds + 600 };
      return new SignJWT({
        iss: origin,
        aud: "api",
        sub: "alice",
        jti: "t1",
        role: "basic",
        ...times,
        ...claims,
      })
        .setProtectedHeader({ alg: String(jwk?.["alg"]), kid: String(jwk?.kid), ...header })
        .sign(await importJWK({ ...jwk }, String(jwk?.["alg"])));
    },
    async stop() {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, "close");
    },
  };
}
