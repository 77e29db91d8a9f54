import { hash } from "node:crypto";
import { z } from "zod";
import type { Issuer } from "../core/issuer.ts";
import { foreignId } from "../core/issuer.ts";
import { MAX_KEY_LIFE_SECONDS } from "../core/key-lifecycle.ts";
import { NEVER } from "../core/key-record.ts";
import type { Policy } from "../core/policy.ts";
import type { Principal } from "../core/principal.ts";
import { CLOCK_TOLERANCE_SECONDS } from "./token-form.ts";

const MAX_NAME_CHARACTERS = 128;
const MAX_SCOPES = 64;
const SCOPE = /^[A-Za-z0-9][A-Za-z0-9:._/-]{0,63}$/;

// RFC 7519 §2: a NumericDate may have a fraction.
const numericDate = z.number().min(0).max(NEVER).transform(Math.floor);
const timesSchema = z.looseObject({ iat: numericDate, exp: numericDate, jti: z.string().optional() });

/**
 * Who a token of an issuer's is, in our words and its namespace; undefined when it does not say, or says more than it
 * may. Signature, `iss`, `aud` and `nbf` have been looked at.
 */
export function principalOf(claims: unknown, token: string, issuer: Issuer, policy: Policy, nowMs: number) {
  const times = timesSchema.safeParse(claims);
  const role = policy.roles.get(roleOf(claims, issuer) ?? "");
  if (!times.success || role === undefined) return undefined;
  const { iat, exp, jti } = times.data;
  if (iat * 1000 > nowMs + CLOCK_TOLERANCE_SECONDS * 1000) return undefined;
  if (exp <= iat || exp - iat > MAX_KEY_LIFE_SECONDS) return undefined;
  const ids = idsOf(claims, jti ?? hash("sha256", token, "base64url"), issuer);
  const name = textAt(claims, issuer.claims.name) ?? textAt(claims, issuer.claims.id) ?? "";
  return (
    ids && {
      ...ids,
      issuer: issuer.name,
      role: role.name,
      scopes: issuer.claims.scope === undefined ? [...role.scopes] : scopesAt(claims, issuer.claims.scope),
      name: [...name].slice(0, MAX_NAME_CHARACTERS).join(""),
      issuedAt: iat,
      expiresAt: exp,
      // Its issuer refreshes it, not we.
      refreshAfter: NEVER,
    }
  );
}

function idsOf(
  claims: unknown,
  tokenId: string,
  { name, claims: where }: Issuer,
): Pick<Principal, "keyId" | "family" | "owner"> | undefined {
  const keyId = foreignId(name, tokenId);
  const family = foreignId(name, textAt(claims, where.id) ?? "");
  const owner = where.owner === undefined ? family : foreignId(name, textAt(claims, where.owner) ?? "");
  return keyId === undefined || family === undefined || owner === undefined
    ? undefined
    : { keyId, family, owner };
}

/** The first role in the policy's order that the token names. */
function roleOf(claims: unknown, issuer: Issuer): string | undefined {
  const named = wordsAt(claims, issuer.claims.role).map((word) => issuer.roleMap.get(word) ?? word);
  return issuer.roles.find((role) => named.includes(role)) ?? issuer.defaultRole;
}

function scopesAt(claims: unknown, where: string): readonly string[] {
  return wordsAt(claims, where)
    .filter((word) => SCOPE.test(word))
    .slice(0, MAX_SCOPES);
}

/** Words with blanks between (RFC 8693 §4.2), or a list of them. */
function wordsAt(claims: unknown, where: string): readonly string[] {
  const value = claimAt(claims, where);
  if (typeof value === "string") return value.split(" ").filter((word) => word !== "");
  return Array.isArray(value) ? value.filter((word) => typeof word === "string") : [];
}

function textAt(claims: unknown, where: string | undefined): string | undefined {
  const value = where === undefined ? undefined : claimAt(claims, where);
  return typeof value === "string" ? value : undefined;
}

/** The claim of this very name, or at this path: names with dots in them are URLs more often than paths. */
function claimAt(claims: unknown, where: string): unknown {
  const own = memberOf(claims, where);
  return own === undefined ? where.split(".").reduce(memberOf, claims) : own;
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? Reflect.get(value, name)
    : undefined;
}
