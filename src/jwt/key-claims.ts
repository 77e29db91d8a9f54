import { expiryVerdict } from "../core/decision/expiry-verdict.ts";
import type { Verification } from "../core/decision/ports.ts";
import type { Principal } from "../core/decision/principal.ts";
import type { TokenRejection } from "../core/decision/token-rejection.ts";
import { MAX_KEY_LIFE_SECONDS } from "../core/keys/key-lifecycle.ts";
import type { KeyClaims } from "../core/keys/key-record.ts";
import { isLegacyId, roleOfKeyId } from "../core/keys/key-record.ts";
import { hasOurClaims, parseScope, sharedName } from "./claim-forms.ts";
import { CLOCK_TOLERANCE_SECONDS } from "./token-form.ts";

/**
 * Whether redundant claims agree, as they do in every token that Latchkey signs. Otherwise a limit or a revocation could
 * use one claim while upstream or the audit log uses the other.
 */
function claimsAgree({
  sub,
  fam,
  jti,
  role,
  iat,
  nbf,
  refresh_after: refreshAfter,
  exp,
}: KeyClaims): boolean {
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

/** Checks the claims of a token whose signature is ours. `claims` is undefined for a payload that only jose can parse. */
export function verifyClaims(claims: unknown, nowMs: number): Verification {
  if (!hasOurClaims(claims)) return rejected("claims_not_accepted");
  if (claims.iat * 1000 > nowMs + CLOCK_TOLERANCE_SECONDS * 1000) return rejected("times_not_accepted");
  if (claims.exp - claims.iat > MAX_KEY_LIFE_SECONDS || claims.exp <= claims.iat)
    return rejected("times_not_accepted");
  if (!claimsAgree(claims)) return rejected("claims_not_accepted");
  // For our own keys there is no tolerance.
  return expiryVerdict(principalOf(claims), nowMs);
}

type Mutable<T> = { -readonly [Member in keyof T]: T[Member] };

/** Equal parts of many cached principals are one object, to save memory: scopes, role, plan, and the id of a first key. */
function principalOf(claims: KeyClaims): Principal {
  const { jti, fam, own, role, plan, scope, name, iat, exp, refresh_after: refreshAfter, nets, cnf } = claims;
  const principal: Mutable<Principal> = {
    keyId: jti,
    family: fam === jti ? jti : fam,
    role: sharedName(role),
    scopes: parseScope(scope) ?? [],
    name,
    issuedAt: iat,
    expiresAt: exp,
    refreshAfter,
    // A member that is added later would take 40 bytes more.
    usedAt: undefined,
    counts: undefined,
  };
  // Spreads would copy the principal for each member that may be absent.
  if (own !== undefined) principal.owner = own;
  if (plan !== undefined) principal.plan = sharedName(plan);
  if (nets !== undefined) principal.nets = nets;
  if (cnf !== undefined) principal.certificate = cnf["x5t#S256"];
  return principal;
}
