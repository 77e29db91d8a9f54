import { hash } from "node:crypto";
import { errors, jwtVerify } from "jose";
import { z } from "zod";
import { chain } from "../core/eventual.ts";
import type { Issuer, IssuerAlgorithm } from "../core/issuer.ts";
import { ISSUER_ALGORITHMS } from "../core/issuer.ts";
import type { Policy } from "../core/policy.ts";
import type { KeyVerifier, Verification } from "../core/ports.ts";
import type { Principal } from "../core/principal.ts";
import { createRecent } from "../core/recent.ts";
import { principalOf } from "./issuer-claims.ts";
import type { CryptoKey } from "./key-ring.ts";
import type { RemoteKeys } from "./remote-keys.ts";
import { createRemoteKeys } from "./remote-keys.ts";
import { CLOCK_TOLERANCE_SECONDS, canonicalSegments, readSegment } from "./token-form.ts";

// What else stands in it (jku, x5u, …) is an attacker's wish, and not looked at; `crit` may not be overlooked.
const headerSchema = z.looseObject({
  alg: z.enum(ISSUER_ALGORITHMS),
  kid: z.string().min(1).max(256),
  crit: z.undefined().optional(),
  b64: z.undefined().optional(),
});
const issSchema = z.looseObject({ iss: z.string() });

const INVALID: Verification = { ok: false, reason: "credential_invalid" };
const UNAVAILABLE: Verification = { ok: false, reason: "credential_unavailable" };

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
    remote = new Map(
      current.issuers.map((issuer) => [issuer.jwksUri, remote.get(issuer.jwksUri) ?? keysOf(issuer)]),
    );
    verifiers = new Map(
      current.issuers.flatMap((issuer) => {
        const keys = remote.get(issuer.jwksUri);
        return keys === undefined ? [] : [[issuer.issuer, createOne(issuer, keys, current, options)]];
      }),
    );
    return verifiers;
  };
  const keysOf = ({ name, jwksUri }: Issuer) =>
    createRemoteKeys({
      fetchText: () => options.fetchText(jwksUri),
      monotonicMs: options.monotonicMs,
      waitMs: options.waitMs,
      fetched: (error) => options.fetched(name, error),
    });
  return {
    of(token) {
      const issuers = upToDate();
      if (issuers.size === 0) return undefined;
      const payload = canonicalSegments(token)?.[1];
      const claims = issSchema.safeParse(payload && readSegment(payload));
      return claims.success ? issuers.get(claims.data.iss) : undefined;
    },
    prefetch() {
      upToDate();
      for (const keys of remote.values()) keys.prefetch();
    },
  };
}

/** A token that was verified, by the keys of this generation. */
interface Kept {
  readonly principal: Principal;
  readonly generation: number;
}

function createOne(
  issuer: Issuer,
  keys: RemoteKeys,
  policy: Policy,
  { cacheSize }: IssuerVerifierOptions,
): KeyVerifier {
  const cache = createRecent<string, Kept>(cacheSize);
  return {
    verify(token, nowMs) {
      const id = hash("sha256", token, "base64url");
      const known = cache.get(id);
      const generation = keys.generation();
      if (known !== undefined && known.generation === generation) {
        const { principal } = known;
        return nowMs >= principal.expiresAt * 1000
          ? { ok: false, reason: "key_expired", principal }
          : { ok: true, principal };
      }
      const asked = readHeader(token, issuer);
      if (asked === undefined) return INVALID;
      return chain(keys.find(asked.kid, asked.alg), async (found) => {
        if (found.kind !== "found") return found.kind === "none" ? INVALID : UNAVAILABLE;
        const verified = await verifyBy(found.key, token, asked, { issuer, policy, nowMs });
        // Its keys may have changed meanwhile.
        if (verified.ok && found.generation === keys.generation())
          cache.set(id, { principal: verified.principal, generation: found.generation });
        return verified;
      });
    },
  };
}

interface AskedKey {
  readonly kid: string;
  readonly alg: IssuerAlgorithm;
  readonly payload: string;
}

/** Which key a token wants to be verified by; undefined for one that is none, or wants too much. */
function readHeader(token: string, { algorithms }: Issuer): AskedKey | undefined {
  const segments = canonicalSegments(token);
  const header = segments && headerSchema.safeParse(readSegment(segments[0]));
  if (segments === undefined || !header?.success) return undefined;
  const { alg, kid } = header.data;
  return algorithms.includes(alg) ? { kid, alg, payload: segments[1] } : undefined;
}

interface Judging {
  readonly issuer: Issuer;
  readonly policy: Policy;
  readonly nowMs: number;
}

async function verifyBy(
  key: CryptoKey,
  token: string,
  { alg, payload }: AskedKey,
  { issuer, policy, nowMs }: Judging,
): Promise<Verification> {
  if (!(await isGood(token, issuer, alg, key, nowMs))) return INVALID;
  const principal = principalOf(readSegment(payload), token, issuer, policy, nowMs);
  if (principal === undefined) return INVALID;
  return nowMs >= principal.expiresAt * 1000
    ? { ok: false, reason: "key_expired", principal }
    : { ok: true, principal };
}

/** Signature, issuer, audience and `nbf`. jose looks at `exp` last: an expired token is one that was its issuer's. */
async function isGood(
  token: string,
  { issuer, audience, typ }: Issuer,
  alg: string,
  key: CryptoKey,
  nowMs: number,
): Promise<boolean> {
  try {
    await jwtVerify(token, key, {
      algorithms: [alg],
      issuer,
      audience,
      ...(typ !== undefined && { typ }),
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      currentDate: new Date(nowMs),
      requiredClaims: ["exp", "iat"],
    });
    return true;
  } catch (error) {
    if (error instanceof errors.JOSEError) return error instanceof errors.JWTExpired;
    throw error;
  }
}
