import type { KeyObject } from "node:crypto";
import { createHmac, createSecretKey, subtle } from "node:crypto";
import type { KeyDates, KeyFacts } from "../core/keys/signing-rotation.ts";
import type { SigningAlgorithm } from "./algorithms.ts";

export type CryptoKey = Awaited<ReturnType<typeof subtle.importKey>>;

/** A key and its one algorithm. `key` is for jose. */
export type NamedKey = SecretKey | AsymmetricKey;

export interface SecretKey {
  readonly kid: string;
  readonly alg: "HS256";
  readonly key: CryptoKey;
  /** The same secret for `node:crypto`. */
  readonly secret: KeyObject;
}

export interface AsymmetricKey {
  readonly kid: string;
  readonly alg: Exclude<SigningAlgorithm, "HS256">;
  readonly key: CryptoKey;
}

/** A public key for publication (RFC 7517), without private members. */
export type PublicJwk = Readonly<Record<string, string>>;

/** One key of a ring. */
export interface RingKey {
  readonly verifying: NamedKey;
  /** Absent if the key only verifies. */
  readonly signing?: NamedKey;
  /** Absent for a secret. */
  readonly publicJwk?: PublicJwk;
  /** The times that its file states. */
  readonly dates?: KeyDates;
}

/** The keys of this instance. The first signs, all verify. */
export interface KeyRing {
  readonly signing: NamedKey;
  find(kid: string): NamedKey | undefined;
  /** The signing key comes first. */
  readonly kids: readonly string[];
  /** In the order of `kids`. */
  readonly facts: readonly KeyFacts[];
  /** The public keys that verify our tokens. Contains no secret. */
  readonly publicJwks: readonly PublicJwk[];
}

/** RFC 7518 §3.2: an HS256 key is at least as long as its hash. */
export const MIN_SECRET_BYTES = 32;

/** Makes a ring from HS256 secrets. The first secret signs, and all verify. Rejects with RangeError if a secret is too short. */
export async function createKeyRing(secrets: readonly [string, ...string[]]): Promise<KeyRing> {
  return joinKeys(await Promise.all(secrets.map(secretKey)));
}

/** Makes a ring from keys. Throws RangeError if the first key cannot sign. */
export function joinKeys(keys: readonly RingKey[]): KeyRing {
  const signing = keys[0]?.signing;
  if (signing === undefined) throw new RangeError("the first key of a ring signs");
  const byKid = new Map(keys.map(({ verifying }) => [verifying.kid, verifying]));
  return {
    signing,
    find: (kid) => byKid.get(kid),
    kids: [...byKid.keys()],
    facts: keys.map((key) => ({
      kid: key.verifying.kid,
      alg: key.verifying.alg,
      canSign: key.signing !== undefined,
      ...key.dates,
    })),
    publicJwks: keys.flatMap(({ publicJwk }) => (publicJwk === undefined ? [] : [publicJwk])),
  };
}

/** The key of a secret. Its `kid` is a digest of the secret. */
export function secretKey(secret: string): Promise<RingKey> {
  const bytes = Buffer.from(secret, "utf8");
  return hs256Key(secretKid(secret), bytes);
}

/** Rejects with RangeError if the secret is too short. */
export async function hs256Key(kid: string, bytes: Uint8Array<ArrayBuffer>): Promise<RingKey> {
  if (bytes.length < MIN_SECRET_BYTES)
    throw new RangeError(`an HS256 secret has at least ${MIN_SECRET_BYTES} bytes`);
  const usages: ("sign" | "verify")[] = ["sign", "verify"];
  const key = await subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, usages);
  const named = { kid, alg: "HS256", key, secret: createSecretKey(bytes) } as const;
  return { verifying: named, signing: named };
}

/** A keyed digest, so that the published `kid` does not help to guess the secret from a table of hashes. */
export function secretKid(secret: string): string {
  return createHmac("sha256", secret).update("latchkey kid").digest("base64url").slice(0, 16);
}
