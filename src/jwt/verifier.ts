import { hash } from "node:crypto";
import { errors, jwtVerify } from "jose";
import { createDigestCache } from "../core/cache/digest-cache.ts";
import { expiryVerdict } from "../core/decision/expiry-verdict.ts";
import type { KeyVerifier, Verification } from "../core/decision/ports.ts";
import type { Principal } from "../core/decision/principal.ts";
import type { TokenRejection } from "../core/decision/token-rejection.ts";
import type { MaybePromise } from "../core/maybe-promise.ts";
import { chain } from "../core/maybe-promise.ts";
import { verifyByHmac } from "./hmac-verification.ts";
import { joseRejection } from "./jose-rejection.ts";
import { rejected, verifyClaims } from "./key-claims.ts";
import type { KeyRing, NamedKey } from "./key-ring.ts";
import type { TokenNames } from "./signer.ts";
import { CLOCK_TOLERANCE_SECONDS, canonicalSegments, MAX_TOKEN_BYTES, readSegment } from "./token-form.ts";
import { readTokenHeader } from "./token-header.ts";

export interface VerifierOptions extends TokenNames {
  readonly ring: () => KeyRing;
  /** Maximum number of cached tokens. Unused tokens are evicted first. */
  readonly cacheSize: number;
  readonly observe?: (result: "hit" | "miss") => void;
}

export interface CachingVerifier extends KeyVerifier {
  /** Clears the cache after the signing keys changed, so that every token is verified again. */
  clear(): void;
}

/**
 * Verifies our own tokens: canonical encoding, one algorithm for each `kid`, our claim schema. HS256 is verified without a
 * promise. Caches only the principal, under the SHA-256 of the whole token, and not beyond `exp`.
 */
export function createVerifier(options: VerifierOptions): CachingVerifier {
  const cache = createDigestCache<Principal>(options.cacheSize, ({ counts }) => counts?.release());
  return {
    clear: () => cache.clear(),
    verify(token, nowMs) {
      const id = hash("sha256", token, "binary");
      const known = cache.get(id);
      options.observe?.(known === undefined ? "miss" : "hit");
      if (known !== undefined) return expiryVerdict(known, nowMs);
      const ring = options.ring();
      return chain(verifyToken(token, ring, options, nowMs), (verified) => {
        // The keys may have changed during verification.
        if (!verified.ok || options.ring() !== ring) return verified;
        cache.set(id, verified.principal);
        return verified;
      });
    },
  };
}

function verifyToken(
  token: string,
  ring: KeyRing,
  names: TokenNames,
  nowMs: number,
): MaybePromise<Verification> {
  if (token.length > MAX_TOKEN_BYTES) return rejected("token_too_long");
  const segments = canonicalSegments(token);
  if (segments === undefined) return rejected("token_malformed");
  const [headerText, payload, signature] = segments;
  const header = readTokenHeader(headerText);
  const key = header === undefined ? undefined : ring.find(header.kid);
  if (header === undefined || key === undefined)
    return rejected(foreignTokenCause(header !== undefined, payload, names));
  if (key.alg !== "HS256") return verifyByJose(token, payload, key, names, nowMs);
  const signed = token.slice(0, headerText.length + 1 + payload.length);
  return verifyByHmac({ header, payload, signed, signature }, key.secret, names, nowMs);
}

/** Why a token without one of our keys is rejected: its `kid` is unknown, or its issuer is not in the policy. */
function foreignTokenCause(headerIsOurs: boolean, payload: string, { issuer }: TokenNames): TokenRejection {
  const iss: unknown = Object(readSegment(payload)).iss;
  if (iss !== issuer) return "issuer_unknown";
  return headerIsOurs ? "key_unknown" : "header_not_accepted";
}

async function verifyByJose(
  token: string,
  payload: string,
  { alg, key }: NamedKey,
  names: TokenNames,
  nowMs: number,
): Promise<Verification> {
  try {
    await jwtVerify(token, key, {
      algorithms: [alg],
      issuer: names.issuer,
      audience: names.audience,
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      currentDate: new Date(nowMs),
    });
  } catch (error) {
    // jose checks the signature before the claims, so an expired token has a valid signature of ours.
    if (!(error instanceof errors.JWTExpired)) return rejected(joseRejection(error));
  }
  // Parsed again, because jose accepts a byte order mark.
  return verifyClaims(readSegment(payload), nowMs);
}
