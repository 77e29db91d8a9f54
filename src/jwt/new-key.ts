import { generateKeyPairSync, randomBytes } from "node:crypto";
import type { SigningAlgorithm } from "./algorithms.ts";

const RSA_BITS = 3072;

/** A new private key as a JSON Web Key. */
export function newJwk(alg: SigningAlgorithm, kid: string): Readonly<Record<string, unknown>> {
  if (alg === "HS256") return { kty: "oct", k: randomBytes(32).toString("base64url"), kid, alg, use: "sig" };
  const { privateKey } = newPair(alg);
  return { ...privateKey.export({ format: "jwk" }), kid, alg, use: "sig" };
}

function newPair(alg: Exclude<SigningAlgorithm, "HS256">) {
  switch (alg) {
    case "ES256":
      return generateKeyPairSync("ec", { namedCurve: "P-256" });
    case "EdDSA":
      return generateKeyPairSync("ed25519");
    case "RS256":
      return generateKeyPairSync("rsa", { modulusLength: RSA_BITS });
  }
}
