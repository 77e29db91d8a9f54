import { createHmac, subtle } from "node:crypto";

/** One key that verifies, under the one algorithm that it is for. */
export interface VerifyingKey {
  readonly kid: string;
  readonly alg: "HS256";
  readonly key: CryptoKey;
}

/** The keys of this instance. The first signs, all verify. */
export interface KeyRing {
  readonly signing: VerifyingKey;
  find(kid: string): VerifyingKey | undefined;
  readonly kids: readonly string[];
}

type CryptoKey = Awaited<ReturnType<typeof subtle.importKey>>;

/** RFC 7518 §3.2: an HS256 key is at least as long as its hash. */
export const MIN_SECRET_BYTES = 32;

/** Makes the ring of HS256 secrets: the first signs, the others verify as well. Rejects with RangeError on a short one. */
export async function createKeyRing(secrets: readonly [string, ...string[]]): Promise<KeyRing> {
  const [first, ...others] = await Promise.all(secrets.map(hs256Key));
  if (first === undefined) throw new RangeError("a key ring needs a secret");
  const byKid = new Map([first, ...others].map((key) => [key.kid, key]));
  return { signing: first, find: (kid) => byKid.get(kid), kids: [...byKid.keys()] };
}

async function hs256Key(secret: string): Promise<VerifyingKey> {
  const bytes = Buffer.from(secret, "utf8");
  if (bytes.length < MIN_SECRET_BYTES)
    throw new RangeError(`an HS256 secret has at least ${MIN_SECRET_BYTES} bytes`);
  const key = await subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
    "verify",
  ]);
  return { kid: kidOf(bytes), alg: "HS256", key };
}

/** A keyed digest, so that the published `kid` helps nobody who guesses secrets by their hash. */
function kidOf(secret: Buffer): string {
  return createHmac("sha256", secret).update("latchkey kid").digest("base64url").slice(0, 16);
}
