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
import { joseRejection } from "./jose-rejection.ts";
import type { CryptoKey } from "./key-ring.ts";
import type { RemoteKeys } from "./remote-keys.ts";
import { createRemoteKeys } from "./remote-keys.ts";
import { canonicalSegments, readSegment } from "./token-form.ts";

// Ignores jku, x5u and the like, because an attacker may have written them. `crit` must not be ignored (RFC 7515 §4.1.11).
const headerSchema = z.looseObject({
  alg: z.string(),
  kid: z.string().min(1).max(256),
  crit: z.undefined().optional(),
  b64: z.undefined().optional(),
});
const issSchema = z.looseObject({ iss: z.string() });

export interface IssuerVerifierOptions {
  readonly policy: () => Policy;
  /** Fetches the text of the JWK Set at a URL. Rejects if it cannot. */
  readonly fetchText: (uri: string) => Promise<string>;
  readonly monotonicMs: () => number;
  /** Milliseconds that one verification waits for the issuer's keys. The fetch continues for later tokens. */
  readonly waitMs: number;
  /** Maximum number of cached tokens of each issuer. */
  readonly cacheSize: (issuers: number) => number;
  /** Called after each fetch from an issuer. */
  readonly onFetch: (issuerName: string, error: Error | undefined) => void;
}

export interface IssuerVerifier {
  /** The verifier for this token, or undefined if its `iss` is not an issuer of the policy. */
  of(token: string): KeyVerifier | undefined;
  /** Fetches the keys of issuers that have none yet, before their first token arrives. */
  prefetch(): void;
}

/**
 * Verifies the tokens of other issuers, each with its own keys, claims and namespace. A failure of one issuer does not
 * affect the tokens of another issuer or ours.
 */
export function createIssuerVerifier(options: IssuerVerifierOptions): IssuerVerifier {
  let policy: Policy | undefined;
  let verifiers: ReadonlyMap<string, KeyVerifier> = new Map();
  let remote = new Map<string, RemoteKeys>();
  const upToDate = () => {
    const current = options.policy();
    if (current === policy) return verifiers;
    policy = current;
    // Keeps the keys of issuers that remain. Drops cached principals, because the new policy may map claims differently.
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
      // Several issuers may share one URL, and a new policy may rename an issuer.
      onFetch(error) {
        for (const issuer of options.policy().issuers)
          if (issuer.jwksUri === jwksUri) options.onFetch(issuer.name, error);
      },
    });
  return {
    of(token) {
      const issuers = upToDate();
      if (issuers.size === 0) return undefined;
      // A token that is too long for its issuer still counts as that issuer's token.
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

/** A principal verified with the keys of this generation. */
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
  const cache = createClockCache<string, CachedPrincipal>(cacheSize(policy.issuers.length), ({ principal }) =>
    principal.counts?.release(),
  );
  const rejected = (cause: TokenRejection): Verification => ({
    ok: false,
    reason: cause === "keys_unavailable" ? "credential_unavailable" : "credential_invalid",
    rejection: { cause, issuer: issuer.name },
  });
  return {
    verify(token, nowMs) {
      if (token.length > issuer.maxTokenBytes) return rejected("token_too_long");
      const id = hash("sha256", token, "binary");
      const known = cache.get(id);
      const generation = keys.generation();
      if (known !== undefined && known.generation === generation)
        return expiryVerdict(known.principal, nowMs, issuer.clockSkewSeconds);
      const requested = readHeader(token, issuer);
      if (typeof requested === "string") return rejected(requested);
      return chain(keys.find(requested.kid, requested.alg), async (found) => {
        if (found.kind === "none") return rejected(found.cause);
        if (found.kind === "unavailable") return rejected("keys_unavailable");
        const verified = await verifyBy(found.keys, token, requested, { issuer, policy, nowMs });
        if (typeof verified === "string") return rejected(verified);
        const verdict = expiryVerdict(verified, nowMs, issuer.clockSkewSeconds);
        // If the keys have changed during verification, the entry has an old generation, and is not used.
        if (verdict.ok) cache.set(id, { principal: verified, generation: found.generation });
        return verdict;
      });
    },
  };
}

interface RequestedKey {
  readonly kid: string;
  /** The `alg` value of the token. */
  readonly algName: string;
  readonly alg: IssuerAlgorithm;
  readonly payload: string;
}

/** Reads which key the token names, or why the token is rejected before a key lookup. */
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

/** Tries each key, because several keys may have the same `kid`. */
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

/** Checks signature, issuer, audience, `typ` and `nbf`. jose checks `exp` last, so an expired token has passed all other checks. */
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
