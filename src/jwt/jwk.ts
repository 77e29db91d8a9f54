import { z } from "zod";
import type { IssuerAlgorithm } from "../core/policy/issuer.ts";
import { algorithmName } from "../core/policy/issuer.ts";
import type { SigningAlgorithm } from "./algorithms.ts";
import { KEY_TYPES } from "./algorithms.ts";

/** The members of a public key, by `kty`. All other members are private or not used here. */
const PUBLIC_MEMBERS: ReadonlyMap<string, readonly string[]> = new Map([
  ["EC", ["kty", "crv", "x", "y"]],
  ["OKP", ["kty", "crv", "x"]],
  ["RSA", ["kty", "n", "e"]],
]);

const MIN_RSA_BITS = 2048;
/** Larger keys make every verification slow, and are not used in practice. */
const MAX_RSA_BITS = 8192;
const MIN_RSA_EXPONENT = 65_537n;

/** The members of a JSON Web Key that are used here. Other members are allowed (RFC 7517 §4). */
export const jwkSchema = z.looseObject({
  kty: z.string(),
  kid: z.string().optional(),
  alg: z.string().optional(),
  use: z.string().optional(),
  key_ops: z.array(z.string()).optional(),
});
export type Jwk = z.output<typeof jwkSchema>;

/** Why the key must not be used with this algorithm, or undefined if it may be used. */
export function jwkProblem(jwk: Jwk, alg: SigningAlgorithm | IssuerAlgorithm): string | undefined {
  const { kty, crv } = KEY_TYPES[alg];
  if (jwk.kty !== kty || (crv !== undefined && jwk["crv"] !== crv))
    return `${alg} takes a key of kty ${kty}${crv === undefined ? "" : ` and crv ${crv}`}`;
  if (jwk.use !== undefined && jwk.use !== "sig") return `use must be sig, not ${JSON.stringify(jwk.use)}`;
  if (jwk.key_ops?.some((operation) => operation !== "sign" && operation !== "verify") === true)
    return "key_ops must be sign and verify only";
  if (jwk.alg !== undefined && algorithmName(jwk.alg) !== alg)
    return `its alg is ${JSON.stringify(jwk.alg)}, not ${alg}`;
  return kty === "RSA" ? rsaProblem(jwk) : undefined;
}

function rsaProblem(jwk: Jwk): string | undefined {
  const [modulus, exponent] = [numberOf(jwk["n"]), numberOf(jwk["e"])];
  const bits = modulus.toString(2).length;
  if (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS)
    return `an RSA key has ${MIN_RSA_BITS} to ${MAX_RSA_BITS} bits, not ${bits}`;
  if (exponent < MIN_RSA_EXPONENT || exponent % 2n === 0n)
    return `an RSA exponent is odd and at least ${MIN_RSA_EXPONENT}`;
  return undefined;
}

function numberOf(member: unknown): bigint {
  const hex = typeof member === "string" ? Buffer.from(member, "base64url").toString("hex") : "";
  return BigInt(`0x0${hex}`);
}

/** Only the public members. */
export function publicMembers(jwk: Jwk): Record<string, string> {
  const names = PUBLIC_MEMBERS.get(jwk.kty) ?? [];
  return Object.fromEntries(Object.entries(textMembers(jwk)).filter(([name]) => names.includes(name)));
}

/** The text members of a key, without `use`, `key_ops` and similar members, which were checked before. */
export function textMembers({ use: _, ...jwk }: Jwk): Record<string, string> {
  return Object.fromEntries(
    Object.entries(jwk).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}
