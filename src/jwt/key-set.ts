import { randomBytes } from "node:crypto";
import { CompactSign, compactVerify, importJWK } from "jose";
import { z } from "zod";
import type { KeyDates } from "../core/keys/signing-rotation.ts";
import { algorithmName } from "../core/policy/issuer.ts";
import { SIGNING_ALGORITHMS } from "./algorithms.ts";
import type { Jwk } from "./jwk.ts";
import { jwkProblem, jwkSchema, publicMembers, textMembers } from "./jwk.ts";
import type { AsymmetricKey, CryptoKey, NamedKey, RingKey } from "./key-ring.ts";
import { hs256Key, MIN_SECRET_BYTES } from "./key-ring.ts";

const MAX_KEYS = 64;

const setSchema = z.looseObject({ keys: z.array(jwkSchema).min(1).max(MAX_KEYS) });
// Instances publish their kids separated by spaces, and every token carries one in its header.
const kidSchema = z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/);
const algSchema = z.enum(SIGNING_ALGORITHMS);

export type KeySetResult =
  | { readonly ok: true; readonly keys: readonly RingKey[] }
  /** Every problem, one sentence each. No problem quotes a key. */
  | { readonly ok: false; readonly problems: readonly string[] };

/**
 * Reads a JWK Set of signing keys (RFC 7517 §5). Each key has its own `kid` and one `alg`. `weakness` returns why a secret
 * is too weak.
 */
export async function parseKeySet(
  text: string,
  weakness: (secret: string) => string | undefined,
): Promise<KeySetResult> {
  const parsed = setSchema.safeParse(parseJson(text));
  if (!parsed.success) {
    const issues = parsed.error.issues.map(({ path, message }) => `${path.join(".") || "it"}: ${message}`);
    return { ok: false, problems: [`is no JWK Set: ${issues.join("; ")}`] };
  }
  const read = await Promise.all(parsed.data.keys.map((jwk) => readKey(jwk, weakness)));
  const kids = parsed.data.keys.map(({ kid }) => kid);
  const problems = read.flatMap((key, index) => {
    const name = `keys[${index}]${kids[index] === undefined ? "" : ` (${JSON.stringify(kids[index])})`}`;
    const twice = kids.indexOf(kids[index]) < index ? ["a second key with this kid"] : [];
    return [...(typeof key === "string" ? [key] : twice)].map((problem) => `${name}: ${problem}`);
  });
  const secrets = parsed.data.keys.filter(({ kty }) => kty === "oct").length;
  if (secrets > 0 && secrets < kids.length)
    problems.push("secrets (kty oct) and other keys never stand in one set");
  const keys = read.filter((key) => typeof key !== "string");
  return problems.length > 0 ? { ok: false, problems } : { ok: true, keys };
}

/** The key, or why it is invalid. */
async function readKey(
  jwk: Jwk,
  weakness: (secret: string) => string | undefined,
): Promise<RingKey | string> {
  const kid = kidSchema.safeParse(jwk.kid);
  if (!kid.success) return "needs a kid: 1 to 64 letters, digits and _ . -";
  const alg = algSchema.safeParse(jwk.alg === undefined ? undefined : algorithmName(jwk.alg));
  if (!alg.success) return `needs an alg, one of ${SIGNING_ALGORITHMS.join(", ")}`;
  const problem = jwkProblem(jwk, alg.data);
  if (problem !== undefined) return problem;
  try {
    const key =
      alg.data === "HS256"
        ? await readSecret(kid.data, jwk, weakness)
        : await readPair(kid.data, alg.data, jwk);
    return typeof key === "string" ? key : { ...key, dates: datesOf(jwk) };
  } catch {
    return "cannot be used: its members do not make a key"; // The message of a library may quote the key.
  }
}

/** A time that cannot be read is left out, like one that is missing. */
function datesOf(jwk: Jwk): KeyDates {
  const members = { addedAtMs: "added_at", signsFromMs: "signs_from", signedUntilMs: "signed_until" };
  const dates = Object.entries(members).map(
    ([name, member]) => [name, Date.parse(String(jwk[member]))] as const,
  );
  return Object.fromEntries(dates.filter(([, ms]) => !Number.isNaN(ms)));
}

async function readSecret(
  kid: string,
  jwk: Jwk,
  weakness: (secret: string) => string | undefined,
): Promise<RingKey | string> {
  const bytes = Buffer.from(String(jwk["k"] ?? ""), "base64url");
  if (bytes.length < MIN_SECRET_BYTES) return `its secret (k) has at least ${MIN_SECRET_BYTES} bytes`;
  const weak = weakness(bytes.toString("latin1"));
  return weak === undefined ? hs256Key(kid, bytes) : `its secret ${weak}`;
}

async function readPair(kid: string, alg: AsymmetricKey["alg"], jwk: Jwk): Promise<RingKey | string> {
  const named = async (members: Record<string, string>): Promise<AsymmetricKey> => ({
    kid,
    alg,
    // `importJWK` returns bytes only for `oct`.
    key: (await importJWK(members, alg)) as CryptoKey,
  });
  const members = publicMembers(jwk);
  const verifying = await named(members);
  const publicJwk = { ...members, kid, alg, use: "sig" };
  if (jwk["d"] === undefined) return { verifying, publicJwk };
  const signing = await named(textMembers(jwk));
  return (await isKeyPair(signing, verifying))
    ? { verifying, signing, publicJwk }
    : "its private and its public part belong to two keys";
}

async function isKeyPair(signing: NamedKey, verifying: NamedKey): Promise<boolean> {
  try {
    const signed = new CompactSign(randomBytes(16)).setProtectedHeader({ alg: signing.alg });
    await compactVerify(await signed.sign(signing.key), verifying.key);
    return true;
  } catch {
    return false;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
