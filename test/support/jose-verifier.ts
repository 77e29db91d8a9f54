import { errors, jwtVerify } from "jose";
import { z } from "zod";
import { expiryVerdict } from "../../src/core/decision/expiry-verdict.ts";
import type { Verification } from "../../src/core/decision/ports.ts";
import type { Principal } from "../../src/core/decision/principal.ts";
import type { TokenRejection } from "../../src/core/decision/token-rejection.ts";
import { parseNetwork } from "../../src/core/keys/ip-network.ts";
import { MAX_KEY_NETS, THUMBPRINT } from "../../src/core/keys/key-binding.ts";
import { MAX_KEY_LIFE_SECONDS } from "../../src/core/keys/key-lifecycle.ts";
import { isKeyId, isLegacyId, roleOfKeyId } from "../../src/core/keys/key-record.ts";
import { SIGNING_ALGORITHMS } from "../../src/jwt/algorithms.ts";
import { joseRejection } from "../../src/jwt/jose-rejection.ts";
import type { KeyRing } from "../../src/jwt/key-ring.ts";
import type { TokenNames } from "../../src/jwt/signer.ts";
import { CLOCK_TOLERANCE_SECONDS, MAX_TOKEN_BYTES } from "../../src/jwt/token-form.ts";

const headerSchema = z.strictObject({
  typ: z.literal("JWT"),
  alg: z.enum(SIGNING_ALGORITHMS),
  kid: z.string().min(1).max(64),
});

const numericDate = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
/** Space-separated scopes in the policy's form (RFC 8693 §4.2), or an empty string. */
const SCOPES = /^(?:[A-Za-z0-9][A-Za-z0-9:._/-]{0,63}(?: [A-Za-z0-9][A-Za-z0-9:._/-]{0,63})*)?$/;
const identifier = z.string().regex(/^[A-Za-z0-9_.@/-]{1,128}$/);
/** The reference for the claims of our own tokens. */
export const claimsSchema = z.strictObject({
  iss: z.string(),
  aud: z.string(),
  sub: identifier,
  fam: identifier,
  jti: z.string().refine(isKeyId),
  name: z.string().refine((text) => [...text].length <= 128),
  own: identifier.optional(),
  role: z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/),
  plan: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/)
    .optional(),
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

function rejected(cause: TokenRejection): Verification {
  return { ok: false, reason: "credential_invalid", rejection: { cause } };
}

const SEGMENTS = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;

function canonicalSegments(token: string): readonly [string, string, string] | undefined {
  const match = SEGMENTS.exec(token);
  if (match === null) return undefined;
  const [, header = "", payload = "", signature = ""] = match;
  return [header, payload, signature].every(isCanonical) ? [header, payload, signature] : undefined;
}

function isCanonical(segment: string): boolean {
  return Buffer.from(segment, "base64url").toString("base64url") === segment;
}

function readSegment(segment: string): unknown {
  try {
    return JSON.parse(Buffer.from(segment, "base64url").toString("utf8"));
  } catch {
    return undefined;
  }
}

/**
 * The reference for the verifier of our own tokens: jose verifies every algorithm, zod checks the claims, and a round trip checks
 * the encoding.
 */
export async function verifyWithJose(
  token: string,
  ring: KeyRing,
  names: TokenNames,
  nowMs: number,
): Promise<Verification> {
  if (token.length > MAX_TOKEN_BYTES) return rejected("token_too_long");
  const segments = canonicalSegments(token);
  if (segments === undefined) return rejected("token_malformed");
  const header = headerSchema.safeParse(readSegment(segments[0]));
  const key = header.success ? ring.find(header.data.kid) : undefined;
  if (key === undefined) return rejected(foreignTokenCause(header.success, segments[1], names));
  try {
    await jwtVerify(token, key.key, {
      algorithms: [key.alg],
      issuer: names.issuer,
      audience: names.audience,
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      currentDate: new Date(nowMs),
    });
  } catch (error) {
    // jose checks the signature before the claims, so an expired token has a valid signature of ours.
    return error instanceof errors.JWTExpired
      ? toVerification(segments, nowMs)
      : rejected(joseRejection(error));
  }
  return toVerification(segments, nowMs);
}

/** Why a token without one of our keys is rejected: its `kid` is unknown, or its issuer is not in the policy. */
function foreignTokenCause(headerIsOurs: boolean, payload: string, { issuer }: TokenNames): TokenRejection {
  const iss: unknown = Object(readSegment(payload)).iss;
  if (iss !== issuer) return "issuer_unknown";
  return headerIsOurs ? "key_unknown" : "header_not_accepted";
}

/** Parses the claims again, because jose accepts a byte order mark, and zod would drop a `__proto__` member. */
function toVerification([, payload]: readonly [string, string, string], nowMs: number): Verification {
  const raw = readSegment(payload);
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
  // jose applies clockTolerance to exp too; for our own keys there is no tolerance.
  return expiryVerdict(principal, nowMs);
}
