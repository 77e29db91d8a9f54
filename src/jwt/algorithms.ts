import type { IssuerAlgorithm } from "../core/policy/issuer.ts";

/** The algorithms of our signing keys. Each key has exactly one. */
export const SIGNING_ALGORITHMS = ["HS256", "ES256", "EdDSA", "RS256"] as const;
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number];

/** The key type that each algorithm requires (RFC 7518 §6, RFC 8037 §2). */
export const KEY_TYPES: Readonly<
  Record<SigningAlgorithm | IssuerAlgorithm, { readonly kty: string; readonly crv?: string }>
> = {
  HS256: { kty: "oct" },
  ES256: { kty: "EC", crv: "P-256" },
  EdDSA: { kty: "OKP", crv: "Ed25519" },
  RS256: { kty: "RSA" },
  PS256: { kty: "RSA" },
  ES384: { kty: "EC", crv: "P-384" },
};
