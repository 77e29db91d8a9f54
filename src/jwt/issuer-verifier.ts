import { hash } from "node:crypto";
import { errors, jwtVerify } from "jose";
import { z } from "zod";
import { createClockCache } from "../core/cache/clock-cache.ts";
import { expiryVerdict } from "../core/decision/expiry-verdict.ts";
import type { KeyVerifier, Verification } from "../core/decision/ports.ts";
import type { Principal } from "../core/decision/principal.ts";
import type { TokenRejection } from "../core/decision/token-rejection.ts";
import { chain } from "../core/maybe-promise.ts";
import type { Issuer, IssuerAlgorithm } from "../core/policy/issuer.ts";
import { ISSUER_TOKEN_BYTES, issuerAlgorithm } from "../core/policy/issuer.ts";
import type { Policy } from "../core/policy/policy.ts";
import { principalOf } from "./issuer-claims.ts";
import { joseRejection } from "./jose-refusal.ts";
import type { CryptoKey } from "./key-ring.ts";
import type { RemoteKeys } from "./remote-keys.ts";
import { createRemoteKeys } from "./remote-keys.ts";
import { canonicalSegments, readSegment } from "./token-form.ts";

// What else stands in it (jku, x5u, …) is an attacker's wish, and not looked at; `crit` may not be overlooked.
const headerSchema = z.looseObject({
  alg: z.string(),
  kid: z.string().min(1).max(256),
  crit: z.undefined().optional(),
  b64: z.undefined().optional(),
});
const issSchema = z.looseObject({ iss: z.string() });

export interface IssuerVerifierOptions {
  readonly policy: () => Policy;
  /** The text of the JWK Set at a URL; rejects when it cannot be had. */
  readonly fetchText: (uri: string) => Promise<string>;
  readonly monotonicMs: () => number;
  /** Milliseconds that a token waits for its issuer; the answer is there for the next one. */
  readonly waitMs: number;
  /** Verified tokens kept, for each issuer. */
  readonly cacheSize: number;
  /** Hears of every answer of an issuer's. */
  readonly fetched: (issuerName: string, error: Error | undefined) => void;
}

export interface IssuerVerifier {
  /** What verifies this token; undefined where it names no issuer of the policy. */
  of(token: string): KeyVerifier | undefined;
  /** Asks issuers of whose keys nothing is known, ahead of their first token. */
  prefetch(): void;
}

/**
 * Verifies tokens that other parties issued, each by its own keys, its own claims and in its own namespace. Nothing
 * that one issuer does, or does not, concerns another's tokens or ours.
 */
export function createIssuerVerifier(options: IssuerVerifierOptions): IssuerVerifier {
  let policy: Policy | undefined;
  let verifiers: ReadonlyMap<string, KeyVerifier> = new Map();
  let remote = new Map<string, RemoteKeys>();
  const upToDate = () => {
    const current = options.policy();
    if (current === policy) return verifiers;
    policy = current;
    // Keys of an issuer that stays are kept; what its tokens say may be read otherwise.
    remote = new Map(current.issuers.map(({ jwksUri }) => [jwksUri, remote.get(jwksUri) ?? keysOf(jwksUri)]));
    verifiers = new Map(
      current.issuers.flatMap((issuer) => {
        const keys = remote.get(issuer.jwksUri);
        return keys === undefined
          ? []
          : [[issuer.issuer, createVerifierForIssuer(issuer, keys, current, options)]];
      }),
    );
    return verifiers;
  };
  const keysOf = (jwksUri: string) =>
    createRemoteKeys({
      fetchText: () => options.fetchText(jwksUri),
      monotonicMs: options.monotonicMs,
      waitMs: options.waitMs,
      // Several issuers may have their keys in one place, and a new policy may call one otherwise.
      fetched(error) {
        for (const issuer of options.policy().issuers)
          if (issuer.jwksUri === jwksUri) options.fetched(issuer.name, error);
      },
    });
  return {
    of(token) {
      const issuers = upToDate();
      if (issuers.size === 0) return undefined;
      // Even a token that is too long for its issuer is its issuer's.
      if (token.length > ISSUER_TOKEN_BYTES.max) return undefined;
      const claims = issSchema.safeParse(readSegment(token.split(".", 2)[1] ?? ""));
      return claims.success ? issuers.get(claims.data.iss) : undefined;
    },
    prefetch() {
      upToDate();
      for (const keys of remote.values()) keys.prefetch();
    },
  };
}

/** A token that was verified, by the keys of this generation. */
interface CachedPrincipal {
  readonly principal: Principal;
  readonly generation: number;
}

function createVerifierForIssuer(
  issuer: Issuer,
  keys: RemoteKeys,
  policy: Policy,
  { cacheSize }: IssuerVerifierOptions,
): KeyVerifier {
  const cache = createClockCache<string, CachedPrincipal>(cacheSize);
  const refused = (cause: TokenRejection): Verification => ({
    ok: false,
    reason: cause === "keys_unavailable" ? "credential_unavailable" : "credential_invalid",
    rejection: { cause, issuer: issuer.name },
  });
  return {
    verify(token, nowMs) {
      if (token.length > issuer.maxTokenBytes) return refused("token_too_long");
      const id = hash("sha256", token, "base64url");
      const known = cache.get(id);
      const generation = keys.generation();
      if (known !== undefined && known.generation === generation)
        return expiryVerdict(known.principal, nowMs, issuer.clockSkewSeconds);
      const asked = readHeader(token, issuer);
      if (typeof asked === "string") return refused(asked);
      return chain(keys.find(asked.kid, asked.alg), async (found) => {
        if (found.kind === "none") return refused(found.cause);
        if (found.kind === "unavailable") return refused("keys_unavailable");
        const verified = await verifyBy(found.keys, token, asked, { issuer, policy, nowMs });
        if (typeof verified === "string") return refused(verified);
        const verdict = expiryVerdict(verified, nowMs, issuer.clockSkewSeconds);
        // Its keys may have changed meanwhile.
        if (verdict.ok && found.generation === keys.generation())
          cache.set(id, { principal: verified, generation: found.generation });
        return verdict;
      });
    },
  };
}

interface RequestedKey {
  readonly kid: string;
  /** As the token has it. */
  readonly algName: string;
  readonly alg: IssuerAlgorithm;
  readonly payload: string;
}

/** Which key a token wants to be verified by, or why none is looked for. */
function readHeader(token: string, { algorithms }: Issuer): RequestedKey | TokenRejection {
  const segments = canonicalSegments(token);
  if (segments === undefined) return "token_malformed";
  const header = headerSchema.safeParse(readSegment(segments[0]));
  if (!header.success) return "header_not_accepted";
  const { alg: algName, kid } = header.data;
  const alg = issuerAlgorithm(algName);
  return alg !== undefined && algorithms.includes(alg)
    ? { kid, algName, alg, payload: segments[1] }
    : "algorithm_not_allowed";
}

interface VerificationContext {
  readonly issuer: Issuer;
  readonly policy: Policy;
  readonly nowMs: number;
}

/** By the first key whose signature it has: several may have one name, and all but one then fail. */
async function verifyBy(
  keys: readonly CryptoKey[],
  token: string,
  { algName, payload }: RequestedKey,
  { issuer, policy, nowMs }: VerificationContext,
): Promise<Principal | TokenRejection> {
  let problem: TokenRejection | undefined = "signature_wrong";
  for (const key of keys) {
    problem = await problemOf(token, issuer, algName, key, nowMs);
    if (problem !== "signature_wrong") break;
  }
  return problem ?? principalOf(readSegment(payload), token, issuer, policy, nowMs);
}

/** Signature, issuer, audience, `typ` and `nbf`. jose checks `exp` last: an expired token is one of its issuer's. */
async function problemOf(
  token: string,
  { issuer, audience, typ, clockSkewSeconds }: Issuer,
  algName: string,
  key: CryptoKey,
  nowMs: number,
): Promise<TokenRejection | undefined> {
  try {
    await jwtVerify(token, key, {
      algorithms: [algName],
      issuer,
      audience,
      ...(typ !== undefined && { typ }),
      clockTolerance: clockSkewSeconds,
      currentDate: new Date(nowMs),
      requiredClaims: ["exp", "iat"],
    });
    return undefined;
  } catch (error) {
    if (error instanceof errors.JWTExpired) return undefined;
    return joseRejection(error);
  }
}
