import { createHmac, subtle } from "node:crypto";

/** What a key of ours may be for. Each key is for one of them. */
export type SigningAlgorithm = "HS256" | "ES256" | "EdDSA" | "RS256";

export type CryptoKey = Awaited<ReturnType<typeof subtle.importKey>>;

/** A key under the one algorithm that it is for. */
export interface NamedKey {
  readonly kid: string;
  readonly alg: SigningAlgorithm;
  readonly key: CryptoKey;
}

/** A public key as others may have it (RFC 7517): no private member. */
export type PublicJwk = Readonly<Record<string, string>>;

/** What a ring is made of. */
export interface RingKey {
  readonly verifying: NamedKey;
  /** Absent: it verifies only. */
  readonly signing?: NamedKey;
  /** Absent for a secret. */
  readonly publicJwk?: PublicJwk;
  /** When it was added, where its file says so. */
  readonly addedAtMs?: number;
}

/** The keys of this instance. The first signs, all verify. */
export interface KeyRing {
  readonly signing: NamedKey;
  find(kid: string): NamedKey | undefined;
  /** The one that signs first. */
  readonly kids: readonly string[];
  /** Of keys whose file says when they were added. */
  readonly addedAtMs: ReadonlyMap<string, number>;
  /** What others need to verify what we sign; nothing of secrets. */
  readonly publicJwks: readonly PublicJwk[];
}

/** RFC 7518 §3.2: an HS256 key is at least as long as its hash. */
export const MIN_SECRET_BYTES = 32;

/** Makes the ring of HS256 secrets: the first signs, the others verify as well. Rejects with RangeError on a short one. */
export async function createKeyRing(secrets: readonly [string, ...string[]]): Promise<KeyRing> {
  return joinKeys(await Promise.all(secrets.map(secretKey)));
}

/** Makes the ring of these keys. Throws RangeError when the first cannot sign. */
export function joinKeys(keys: readonly RingKey[]): KeyRing {
  const signing = keys[0]?.signing;
  if (signing === undefined) throw new RangeError("the first key of a ring signs");
  const byKid = new Map(keys.map(({ verifying }) => [verifying.kid, verifying]));
  return {
    signing,
    find: (kid) => byKid.get(kid),
    kids: [...byKid.keys()],
    addedAtMs: new Map(
      keys.flatMap(({ verifying, addedAtMs }) =>
        addedAtMs === undefined ? [] : [[verifying.kid, addedAtMs]],
      ),
    ),
    publicJwks: keys.flatMap(({ publicJwk }) => (publicJwk === undefined ? [] : [publicJwk])),
  };
}

/** The key of a secret, named by a digest of it. */
export function secretKey(secret: string): Promise<RingKey> {
  const bytes = Buffer.from(secret, "utf8");
  return hs256Key(secretKid(secret), bytes);
}

/** Rejects with RangeError when there are too few bytes. */
export async function hs256Key(kid: string, bytes: Uint8Array<ArrayBuffer>): Promise<RingKey> {
  if (bytes.length < MIN_SECRET_BYTES)
    throw new RangeError(`an HS256 secret has at least ${MIN_SECRET_BYTES} bytes`);
  const usages: ("sign" | "verify")[] = ["sign", "verify"];
  const key = await subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, usages);
  const named = { kid, alg: "HS256", key } as const;
  return { verifying: named, signing: named };
}

/** A keyed digest, so that the published `kid` helps nobody who guesses secrets by their hash. */
export function secretKid(secret: string): string {
  return createHmac("sha256", secret).update("latchkey kid").digest("base64url").slice(0, 16);
}
