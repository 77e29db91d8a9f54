import { z } from "zod";
import { expiryVerdict } from "../core/decision/expiry-verdict.ts";
import type { Verification } from "../core/decision/ports.ts";
import type { Principal } from "../core/decision/principal.ts";
import type { TokenRejection } from "../core/decision/token-rejection.ts";
import { parseNetwork } from "../core/keys/ip-network.ts";
import { MAX_KEY_NETS, THUMBPRINT } from "../core/keys/key-binding.ts";
import { MAX_KEY_LIFE_SECONDS } from "../core/keys/key-lifecycle.ts";
import { isKeyId, isLegacyId, roleOfKeyId } from "../core/keys/key-record.ts";
import { CLOCK_TOLERANCE_SECONDS } from "./token-form.ts";

const numericDate = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
/** Space-separated scopes in the policy's form (RFC 8693 §4.2), or an empty string. */
const SCOPES = /^(?:[A-Za-z0-9][A-Za-z0-9:._/-]{0,63}(?: [A-Za-z0-9][A-Za-z0-9:._/-]{0,63})*)?$/;
const identifier = z.string().regex(/^[A-Za-z0-9_.@/-]{1,128}$/);
/** The form of names in the policy. */
const policyName = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/);
const claimsSchema = z.strictObject({
  iss: z.string(),
  aud: z.string(),
  sub: identifier,
  fam: identifier,
  jti: z.string().refine(isKeyId),
  name: z.string().max(128),
  own: identifier.optional(),
  role: policyName,
  plan: policyName.optional(),
  scope: z.string().max(4200).regex(SCOPES),
  iat: numericDate,
  nbf: numericDate,
  exp: numericDate,
  refresh_after: numericDate,
  nets: z
    .array(z.string().refine((text) => parseNetwork(text) !== undefined))
    .min(1)
    .max(MAX_KEY_NETS)
    .optional(),
  cnf: z.strictObject({ "x5t#S256": z.string().regex(THUMBPRINT) }).optional(),
});

type Claims = z.output<typeof claimsSchema>;

/**
 * Whether redundant claims agree, as they do in every token that Latchkey signs. Otherwise a limit or a revocation could
 * use one claim while upstream or the audit log uses the other.
 */
function claimsAgree({ sub, fam, jti, role, iat, nbf, refresh_after: refreshAfter, exp }: Claims): boolean {
  return (
    sub === fam &&
    roleOfKeyId(jti) === role &&
    // Only records of V1 keys have ids of this form, and V1 keys have no token.
    !isLegacyId(jti) &&
    nbf === iat &&
    iat <= refreshAfter &&
    refreshAfter <= exp
  );
}

export function rejected(cause: TokenRejection): Verification {
  return { ok: false, reason: "credential_invalid", rejection: { cause } };
}

/**
 * Checks the claims of a token whose signature is ours. `raw` is undefined for a payload that only jose can parse. Counts the
 * members, because zod drops `__proto__`.
 */
export function verifyClaims(raw: unknown, nowMs: number): Verification {
  const parsed = claimsSchema.safeParse(raw);
  if (!parsed.success || Object.keys(Object(raw)).length !== Object.keys(parsed.data).length)
    return rejected("claims_not_accepted");
  const claims = parsed.data;
  if (claims.iat * 1000 > nowMs + CLOCK_TOLERANCE_SECONDS * 1000) return rejected("times_not_accepted");
  if (claims.exp - claims.iat > MAX_KEY_LIFE_SECONDS || claims.exp <= claims.iat)
    return rejected("times_not_accepted");
  if (!claimsAgree(claims)) return rejected("claims_not_accepted");
  const principal: Principal = {
    keyId: claims.jti,
    family: claims.fam,
    ...(claims.own === undefined ? {} : { owner: claims.own }),
    role: claims.role,
    ...(claims.plan !== undefined && { plan: claims.plan }),
    scopes: claims.scope === "" ? [] : claims.scope.split(" "),
    name: claims.name,
    issuedAt: claims.iat,
    expiresAt: claims.exp,
    refreshAfter: claims.refresh_after,
    ...(claims.nets !== undefined && { nets: claims.nets }),
    ...(claims.cnf !== undefined && { certificate: claims.cnf["x5t#S256"] }),
  };
  // For our own keys there is no tolerance.
  return expiryVerdict(principal, nowMs);
}
