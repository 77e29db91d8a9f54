import { hash } from "node:crypto";
import { z } from "zod";
import type { Principal } from "../core/decision/principal.ts";
import type { TokenRejection } from "../core/decision/token-rejection.ts";
import { MAX_KEY_LIFE_SECONDS } from "../core/keys/key-lifecycle.ts";
import { MAX_KEY_NAME_CHARACTERS } from "../core/keys/key-name.ts";
import { NEVER } from "../core/keys/key-record.ts";
import { memberOf, textAt, wordsAt } from "../core/policy/claims.ts";
import type { Issuer } from "../core/policy/issuer.ts";
import { foreignId } from "../core/policy/issuer.ts";
import type { Policy, Role } from "../core/policy/policy.ts";

// RFC 7519 §2: a NumericDate may have a fraction.
const numericDate = z.number().min(0).max(NEVER).transform(Math.floor);
const timesSchema = z.looseObject({ iat: numericDate, exp: numericDate });

/**
 * Maps the claims of an issuer's token to a principal in that issuer's namespace, or returns why the token is rejected: a
 * claim is missing, or claims more than the issuer may. The caller has checked the signature, `iss`, `aud`, `typ` and
 * `nbf`.
 */
export function principalOf(
  claims: unknown,
  token: string,
  issuer: Issuer,
  policy: Policy,
  nowMs: number,
): Principal | TokenRejection {
  const times = timesSchema.safeParse(claims);
  if (!times.success) return "times_not_accepted";
  const { iat, exp } = times.data;
  if (exp <= iat || exp - iat > MAX_KEY_LIFE_SECONDS) return "times_not_accepted";
  const role = policy.roles.get(roleOf(claims, issuer) ?? "");
  if (role === undefined) return "role_missing";
  const ids = idsOf(claims, token, issuer);
  if (typeof ids === "string") return ids;
  const name = textAt(claims, issuer.claims.name) ?? textAt(claims, issuer.claims.id) ?? "";
  const plan = planOf(claims, issuer);
  return {
    ...ids,
    issuer: issuer.name,
    role: role.name,
    ...(plan !== undefined && { plan }),
    scopes: scopesOf(claims, role, issuer),
    name: [...name].slice(0, MAX_KEY_NAME_CHARACTERS).join(""),
    issuedAt: issuedAt(iat, issuer, nowMs),
    expiresAt: exp,
    // The issuer refreshes its tokens; Latchkey does not.
    refreshAfter: NEVER,
  };
}

/**
 * RFC 7519 does not reject a token by its `iat`. An `iat` further in the future than the clock tolerance is not a usable
 * issue time, so every cut-off revokes such a token. Otherwise a token could outlive the incident switch.
 */
function issuedAt(iat: number, { clockSkewSeconds }: Issuer, nowMs: number): number {
  return iat * 1000 > nowMs + clockSkewSeconds * 1000 ? 0 : iat;
}

function idsOf(
  claims: unknown,
  token: string,
  { name, claims: where }: Issuer,
): Pick<Principal, "keyId" | "family" | "owner"> | "id_not_accepted" | "owner_not_accepted" {
  const jti = memberOf(claims, "jti") ?? hash("sha256", token, "base64url");
  const keyId = typeof jti === "string" ? foreignId(name, jti) : undefined;
  const family = foreignId(name, textAt(claims, where.id) ?? "");
  if (keyId === undefined || family === undefined) return "id_not_accepted";
  const owner = where.owner === undefined ? family : foreignId(name, textAt(claims, where.owner) ?? "");
  return owner === undefined ? "owner_not_accepted" : { keyId, family, owner };
}

/** The first role in the policy's order that the token names. */
function roleOf(claims: unknown, issuer: Issuer): string | undefined {
  const named = new Set(wordsAt(claims, issuer.claims.role).map((word) => issuer.roleMap.get(word) ?? word));
  return issuer.roles.find((role) => named.has(role)) ?? issuer.defaultRole;
}

/** The first plan in the policy's order that the token names. A plan outside the issuer's list counts as none. */
function planOf(claims: unknown, { plans, claims: { plan } }: Issuer): string | undefined {
  if (plan === undefined) return undefined;
  const named = wordsAt(claims, plan);
  return plans.find((name) => named.includes(name));
}

/** Only scopes that the role has are kept. */
function scopesOf(claims: unknown, role: Role, { claims: { scope } }: Issuer): readonly string[] {
  if (scope === undefined) return [...role.scopes];
  const named = new Set(wordsAt(claims, scope));
  return [...role.scopes].filter((word) => named.has(word));
}
