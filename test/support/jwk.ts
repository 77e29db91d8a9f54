import { generateKeyPairSync, randomBytes } from "node:crypto";

export type TestJwk = Readonly<Record<string, unknown>> & { readonly kid: string };

/** A private signing key for one test, in the form of a JWK Set. */
export function newJwk(alg: "HS256" | "ES256" | "EdDSA" | "RS256", kid: string, rsaBits = 2048): TestJwk {
  if (alg === "HS256") return { kty: "oct", k: randomBytes(32).toString("base64url"), kid, alg };
  const { privateKey } =
    alg === "ES256"
      ? generateKeyPairSync("ec", { namedCurve: "P-256" })
      : alg === "EdDSA"
        ? generateKeyPairSync("ed25519")
        : generateKeyPairSync("rsa", { modulusLength: rsaBits });
  return { ...privateKey.export({ format: "jwk" }), kid, alg, use: "sig" };
}

/** Its public members. */
export function publicPart(jwk: TestJwk): TestJwk {
  const { d: _, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, ...rest } = jwk;
  return { ...rest, kid: jwk.kid };
}

export function jwkSet(...keys: readonly TestJwk[]): string {
  return JSON.stringify({ keys });
}
