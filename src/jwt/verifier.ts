import { hash } from "node:crypto";
import { errors, jwtVerify } from "jose";
import { z } from "zod";
import { createClockCache } from "../core/cache/clock-cache.ts";
import { expiryVerdict } from "../core/decision/expiry-verdict.ts";
import type { KeyVerifier, Verification } from "../core/decision/ports.ts";
import type { Principal } from "../core/decision/principal.ts";
import type { TokenRejection } from "../core/decision/token-rejection.ts";
import { parseNetwork } from "../core/keys/ip-network.ts";
import { MAX_KEY_NETS, THUMBPRINT } from "../core/keys/key-binding.ts";
import { MAX_KEY_LIFE_SECONDS } from "../core/keys/key-lifecycle.ts";
import { isKeyId, isLegacyId, roleOfKeyId } from "../core/keys/key-record.ts";
import { joseRejection } from "./jose-refusal.ts";
import { SIGNING_ALGORITHMS } from "./jwk.ts";
import type { KeyRing } from "./key-ring.ts";
import type { TokenNames } from "./signer.ts";
import { CLOCK_TOLERANCE_SECONDS, canonicalSegments, MAX_TOKEN_BYTES, readSegment } from "./token-form.ts";

const headerSchema = z.strictObject({
  typ: z.literal("JWT"),
  alg: z.enum(SIGNING_ALGORITHMS),
  kid: z.string().min(1).max(64),
});

const numericDate = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
/** Scopes of a policy's form, a space between two (RFC 8693 §4.2); or none. */
const SCOPES = /^(?:[A-Za-z0-9][A-Za-z0-9:._/-]{0,63}(?: [A-Za-z0-9][A-Za-z0-9:._/-]{0,63})*)?$/;
const identifier = z.string().regex(/^[A-Za-z0-9_.@/-]{1,128}$/);
const claimsSchema = z.strictObject({
  iss: z.string(),
  aud: z.string(),
  sub: identifier,
  fam: identifier,
  jti: z.string().refine(isKeyId),
  name: z.string().max(128),
  own: identifier.optional(),
  role: z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/),
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
 * Whether claims that say one thing twice say the same, as they do in every token that Latchkey makes. Otherwise a limit or a
 * revocation would go by one of them, and upstream or an audit line by the other.
 */
function claimsAgree({ sub, fam, jti, role, iat, nbf, refresh_after: refreshAfter, exp }: Claims): boolean {
  return (
    sub === fam &&
    roleOfKeyId(jti) === role &&
    // A V1 key has a record of this form, and no token.
    !isLegacyId(jti) &&
    nbf === iat &&
    iat <= refreshAfter &&
    refreshAfter <= exp
  );
}

function refused(cause: TokenRejection): Verification {
  return { ok: false, reason: "credential_invalid", rejection: { cause } };
}

export interface VerifierOptions extends TokenNames {
  readonly ring: () => KeyRing;
  /** Verified tokens kept; one that is not used goes first. */
  readonly cacheSize: number;
  readonly observe?: (result: "hit" | "miss") => void;
}

export interface CachingVerifier extends KeyVerifier {
  /** For when signing keys change: what they verified is verified again. */
  clear(): void;
}

/**
 * Verifies our own tokens: one canonical spelling, one algorithm for each `kid`, our claim schema.
 * What it keeps is identity only, under the SHA-256 of the whole token, and no longer than `exp`.
 */
export function createVerifier(options: VerifierOptions): CachingVerifier {
  const cache = createClockCache<string, Principal>(options.cacheSize);
  const sharing = createInterner();
  return {
    clear: () => cache.clear(),
    verify(token, nowMs) {
      const id = hash("sha256", token, "base64url");
      const known = cache.get(id);
      options.observe?.(known === undefined ? "miss" : "hit");
      if (known !== undefined) return expiryVerdict(known, nowMs);
      const ring = options.ring();
      return verifyToken(token, ring, options, nowMs).then((verified) => {
        // Keys may have changed while the signature was checked.
        if (!verified.ok || options.ring() !== ring) return verified;
        const principal = sharing(verified.principal);
        cache.set(id, principal);
        return { ok: true, principal };
      });
    },
  };
}

/** Lists of scopes that are shared at a time; a hundred thousand keys have a handful. */
const MAX_SHARED_LISTS = 1000;

/** What many keys say alike is kept once: their scopes, their role, and the id that a first key has of its family. */
function createInterner(): (principal: Principal) => Principal {
  const known = new Map<string, Pick<Principal, "scopes" | "role">>();
  return (principal) => {
    const { role, scopes, keyId, family } = principal;
    const id = `${role} ${scopes.join(" ")}`;
    const shared = known.get(id) ?? { role, scopes };
    if (known.size >= MAX_SHARED_LISTS) known.clear();
    known.set(id, shared);
    return { ...principal, ...shared, family: family === keyId ? keyId : family };
  };
}

async function verifyToken(
  token: string,
  ring: KeyRing,
  names: TokenNames,
  nowMs: number,
): Promise<Verification> {
  if (token.length > MAX_TOKEN_BYTES) return refused("token_too_long");
  const segments = canonicalSegments(token);
  if (segments === undefined) return refused("token_malformed");
  const header = headerSchema.safeParse(readSegment(segments[0]));
  const key = header.success ? ring.find(header.data.kid) : undefined;
  if (key === undefined) return refused(strangersCause(header.success, segments[1], names));
  try {
    await jwtVerify(token, key.key, {
      algorithms: [key.alg],
      issuer: names.issuer,
      audience: names.audience,
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      currentDate: new Date(nowMs),
    });
  } catch (error) {
    // jose checks the signature before it looks at a claim, so an expired token is one that was ours.
    return error instanceof errors.JWTExpired
      ? toVerification(segments, nowMs)
      : refused(joseRejection(error));
  }
  return toVerification(segments, nowMs);
}

/** Which of the two it is that a token without a key of ours lacks: it may be one of an issuer that the policy forgot. */
function strangersCause(headerIsOurs: boolean, payload: string, { issuer }: TokenNames): TokenRejection {
  const iss: unknown = Object(readSegment(payload)).iss;
  if (iss !== issuer) return "issuer_unknown";
  return headerIsOurs ? "key_unknown" : "header_not_accepted";
}

/** The claims are parsed anew: jose forgives a BOM, and a `__proto__` would be no member of what zod gives. */
function toVerification([, payload]: readonly [string, string, string], nowMs: number): Verification {
  const raw = readSegment(payload);
  const parsed = claimsSchema.safeParse(raw);
  if (!parsed.success || Object.keys(Object(raw)).length !== Object.keys(parsed.data).length)
    return refused("claims_not_accepted");
  const claims = parsed.data;
  if (claims.iat * 1000 > nowMs + CLOCK_TOLERANCE_SECONDS * 1000) return refused("times_not_accepted");
  if (claims.exp - claims.iat > MAX_KEY_LIFE_SECONDS || claims.exp <= claims.iat)
    return refused("times_not_accepted");
  if (!claimsAgree(claims)) return refused("claims_not_accepted");
  const principal: Principal = {
    keyId: claims.jti,
    family: claims.fam,
    ...(claims.own === undefined ? {} : { owner: claims.own }),
    role: claims.role,
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
