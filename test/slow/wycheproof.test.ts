import { createSecretKey } from "node:crypto";
import { readFile } from "node:fs/promises";
import { compactVerify } from "jose";
import { beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { wycheproofSignatures } from "../../scripts/checkers.ts";
import { issuerAlgorithm } from "../../src/core/policy/issuer.ts";
import { verifyByHmac } from "../../src/jwt/hmac-verification.ts";
import { createRemoteKeys } from "../../src/jwt/remote-keys.ts";
import { canonicalSegments, readSegment } from "../../src/jwt/token-form.ts";

const jwkSchema = z.looseObject({ kty: z.string(), alg: z.string().optional(), k: z.string().optional() });
type Jwk = z.output<typeof jwkSchema>;
const vectorsSchema = z.object({
  testGroups: z.array(
    z.object({
      comment: z.string(),
      public: jwkSchema.optional(),
      private: jwkSchema.optional(),
      tests: z.array(z.object({ tcId: z.int(), comment: z.string(), jws: z.string(), result: z.string() })),
    }),
  ),
});

interface Vector {
  readonly name: string;
  readonly jwk: Jwk;
  readonly jws: string;
  readonly isValid: boolean;
}

let vectors: readonly Vector[];

beforeAll(async () => {
  const file = JSON.parse(await readFile(await wycheproofSignatures(), "utf8"));
  vectors = vectorsSchema.parse(file).testGroups.flatMap(({ comment, tests, ...group }) => {
    const jwk = group.public ?? group.private;
    if (jwk === undefined) throw new Error(`the group ${comment} has no key`);
    return tests.map(({ tcId, jws, result, ...vector }) => ({
      name: `${tcId} ${comment}: ${vector.comment}`,
      jwk,
      jws,
      isValid: result === "valid",
    }));
  });
});

/** Whether HS256 by `node:crypto` accepts the signature. The payload of a vector is no claims set, so it is rejected afterwards. */
function acceptsHmac({ jwk, jws }: Vector): boolean {
  const segments = canonicalSegments(jws);
  const header = z.object({ alg: z.literal("HS256") }).safeParse(readSegment(segments?.[0] ?? ""));
  if (segments === undefined || !header.success) return false;
  const secret = createSecretKey(Buffer.from(jwk.k ?? "", "base64url"));
  const names = { issuer: "latchkey", audience: "latchkey" };
  const [headerText, payload, signature] = segments;
  const token = {
    header: { alg: header.data.alg, kid: "one", isUtf8: true },
    payload,
    signed: `${headerText}.${payload}`,
    signature,
  };
  const verified = verifyByHmac(token, secret, names, Date.now());
  return !verified.ok && "rejection" in verified && verified.rejection.cause === "token_malformed";
}

/** Whether a token of another issuer with this signature and key is accepted, as far as its claims. */
async function acceptsByKeySet({ jwk, jws }: Vector): Promise<boolean> {
  const segments = canonicalSegments(jws);
  const header = z.object({ alg: z.string() }).safeParse(readSegment(segments?.[0] ?? ""));
  const alg = header.success ? issuerAlgorithm(header.data.alg) : undefined;
  if (!header.success || alg === undefined) return false;
  const keys = createRemoteKeys({
    fetchText: async () => JSON.stringify({ keys: [{ ...jwk, kid: "one" }] }),
    monotonicMs: () => performance.now(),
    waitMs: 1000,
    onFetch: () => undefined,
  });
  const found = await keys.find("one", alg);
  const [key] = found.kind === "found" ? found.keys : [];
  if (key === undefined) return false;
  return compactVerify(jws, key, { algorithms: [header.data.alg] }).then(
    () => true,
    () => false,
  );
}

async function accepts(vector: Vector): Promise<boolean> {
  return vector.jwk.kty === "oct" ? acceptsHmac(vector) : acceptsByKeySet(vector);
}

test("no invalid signature is accepted", async () => {
  // Two vectors about padding lost it in their text, which is that of a valid vector.
  const validTexts = new Set(vectors.flatMap(({ isValid, jws }) => (isValid ? [jws] : [])));
  const invalid = vectors.filter(({ isValid, jws }) => !isValid && !validTexts.has(jws));
  expect(invalid.length).toBeGreaterThan(300);
  const accepted: string[] = [];
  for (const vector of invalid) if (await accepts(vector)) accepted.push(vector.name);
  expect(accepted).toEqual([]);
});

test("every valid signature of an accepted algorithm is accepted, except in forms that no token of Latchkey has", async () => {
  const algorithms = ["HS256", "ES256", "RS256", "PS256"];
  const valid = vectors.filter(({ isValid, jwk }) => isValid && algorithms.includes(jwk.alg ?? ""));
  expect(new Set(valid.map(({ jwk }) => jwk.alg))).toEqual(new Set(algorithms));
  const denied: string[] = [];
  for (const vector of valid) if (!(await accepts(vector))) denied.push(vector.name);
  expect(denied).toEqual([
    "259 rs256: emptyPayload",
    "272 ps256: emptyPayload",
    // Their header says PS384, and their key is for PS256.
    "346 rfc7520: Figure20",
    "350 rfc7520WithKeyOps: Figure20",
    // They have a character that is not in the alphabet of base64url.
    "372 base64: InvalidCharacterInsertedInHeader",
    "373 base64: InvalidCharacterInsertedInPayload",
  ]);
});
