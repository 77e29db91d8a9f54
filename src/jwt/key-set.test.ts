import { createHmac, randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { jwkSet, newJwk, publicPart } from "../../test/support/jwk.ts";
import type { KeyRecord } from "../core/keys/key-record.ts";
import { createKeyRing, joinKeys } from "./key-ring.ts";
import { parseKeySet } from "./key-set.ts";
import { createSigner } from "./signer.ts";
import { createVerifier } from "./verifier.ts";

const ALGORITHMS = ["HS256", "ES256", "EdDSA", "RS256"] as const;
const PUBLIC_MEMBERS = ["kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"];
const NOW = 1_800_000_000;
const names = { issuer: "blyan-api", audience: "latchkey" };
const record: KeyRecord = {
  keyId: "basic_1800000000_abcdefghijklmnopqrstuv",
  family: "fam_abcdefghijklmnopqrstuv",
  familyStartedAt: NOW,
  role: "basic",
  scopes: ["chat:read"],
  name: "n",
  issuedAt: NOW,
  expiresAt: NOW + 1000,
  refreshAfter: NOW + 500,
  selfService: false,
  disabled: false,
  version: 1,
};
const anyWillDo = () => undefined;

async function keysOf(text: string) {
  const parsed = await parseKeySet(text, anyWillDo);
  if (!parsed.ok) throw new Error(parsed.problems.join("\n"));
  return parsed.keys;
}

async function problemsOf(...keys: readonly object[]): Promise<readonly string[]> {
  const parsed = await parseKeySet(JSON.stringify({ keys }), anyWillDo);
  return parsed.ok ? [] : parsed.problems;
}

describe.each(ALGORITHMS)("a key for %s", (alg) => {
  const [jwk, other] = [newJwk(alg, "one"), newJwk(alg, "two")];

  test("a key verifies its own signatures and no other key's", async () => {
    const ring = joinKeys(await keysOf(jwkSet(jwk, other)));
    expect([ring.signing.kid, ring.signing.alg, ring.kids]).toEqual(["one", alg, ["one", "two"]]);
    const token = await createSigner(() => ring, names).sign(record);
    const verify = async (keys: typeof ring) =>
      (await createVerifier({ ...names, ring: () => keys, cacheSize: 1 }).verify(token, NOW * 1000)).ok;
    expect(await verify(ring)).toBe(true);
    const renamed = joinKeys(await keysOf(jwkSet({ ...other, kid: "one" })));
    expect(await verify(renamed)).toBe(false);
    const second = joinKeys(await keysOf(jwkSet(other)));
    expect(await verify(second)).toBe(false);
  });

  test("a token that has expired is not malformed: its holder reads that it has expired", async () => {
    const ring = joinKeys(await keysOf(jwkSet(jwk)));
    const token = await createSigner(() => ring, names).sign(record);
    const expired = { ok: false, reason: "key_expired", principal: { keyId: record.keyId } };
    for (const nowSeconds of [record.expiresAt, record.expiresAt + 1000])
      expect(
        await createVerifier({ ...names, ring: () => ring, cacheSize: 1 }).verify(token, nowSeconds * 1000),
      ).toMatchObject(expired);
  });

  test("a key publishes its public members only, and a secret publishes nothing", async () => {
    const [key] = await keysOf(jwkSet({ ...jwk, use: "sig", promoted_at: "2026-01-01T00:00:00Z" }));
    if (alg === "HS256") expect(key?.publicJwk).toBeUndefined();
    else {
      expect(Object.keys(key?.publicJwk ?? {}).filter((name) => !PUBLIC_MEMBERS.includes(name))).toEqual([]);
      expect(key?.publicJwk).toMatchObject({ kid: "one", alg, use: "sig", kty: jwk["kty"] });
    }
  });
});

test("a secret is the bytes that its k encodes in base64url, not its text", async () => {
  const jwk = newJwk("HS256", "one");
  const ring = joinKeys(await keysOf(jwkSet(jwk)));
  const [header, claims, signature] = (await createSigner(() => ring, names).sign(record)).split(".");
  const bytes = Buffer.from(String(jwk["k"]), "base64url");
  expect(signature).toBe(createHmac("sha256", bytes).update(`${header}.${claims}`).digest("base64url"));
});

test("the dates of a rotation are read from a key, and one that is no date counts as missing", async () => {
  const dated = { added_at: "2026-01-02T03:04:05Z", signs_from: "soon", signed_until: 5, use: "sig" };
  const [key, plain] = await keysOf(jwkSet({ ...newJwk("ES256", "one"), ...dated }, newJwk("ES256", "two")));
  expect(key?.dates).toMatchObject({ addedAtMs: Date.UTC(2026, 0, 2, 3, 4, 5) });
  expect(key?.dates).not.toHaveProperty("signsFromMs");
  expect(plain?.dates).toEqual({});
  const later = { signs_from: "2026-01-02T00:00:00Z", signed_until: "2026-01-03T00:00:00Z" };
  const [rotated] = await keysOf(jwkSet({ ...newJwk("ES256", "one"), ...later }));
  expect(rotated?.dates).toEqual({ signsFromMs: Date.UTC(2026, 0, 2), signedUntilMs: Date.UTC(2026, 0, 3) });
});

test("a set of 64 keys is accepted, and so is a kid of 64 characters", async () => {
  const key = publicPart(newJwk("ES256", "k"));
  const keys = Array.from({ length: 64 }, (_, at) => ({ ...key, kid: `${"k".repeat(62)}${at + 10}` }));
  expect(await keysOf(jwkSet(...keys))).toHaveLength(64);
  expect(await problemsOf({ ...key, kid: "k".repeat(65) })).toEqual([
    expect.stringContaining("needs a kid: 1 to 64 letters, digits and _ . -"),
  ]);
});

test("every problem of a set is named at once, with the place and the kid of its key", async () => {
  const key = newJwk("ES256", "one");
  expect(
    await problemsOf({ ...key, kid: undefined }, { ...key, alg: "x" }, key, key, newJwk("HS256", "s")),
  ).toEqual([
    "keys[0]: needs a kid: 1 to 64 letters, digits and _ . -",
    'keys[1] ("one"): needs an alg, one of HS256, ES256, EdDSA, RS256',
    'keys[2] ("one"): a second key with this kid',
    'keys[3] ("one"): a second key with this kid',
    "secrets (kty oct) and other keys never stand in one set",
  ]);
});

test("a public key only verifies, so it cannot be the first key", async () => {
  const [first, second] = [newJwk("ES256", "one"), newJwk("ES256", "two")];
  const keys = await keysOf(jwkSet(first, publicPart(second)));
  const ring = joinKeys(keys);
  expect(ring.publicJwks.map(({ kid }) => kid)).toEqual(["one", "two"]);
  expect(ring.facts).toEqual([
    { kid: "one", alg: "ES256", canSign: true },
    { kid: "two", alg: "ES256", canSign: false },
  ]);
  expect(() => joinKeys([...keys].reverse())).toThrow(RangeError);
  expect(() => joinKeys([])).toThrow(RangeError);
});

test("the kid's algorithm applies, whatever algorithm the token names", async () => {
  const [pair, secret] = [newJwk("RS256", "pair"), randomBytes(32).toString("base64url")];
  const ring = joinKeys([...(await keysOf(jwkSet(pair)))]);
  const secretRing = await createKeyRing([secret]);
  const named = { ...secretRing, signing: { ...secretRing.signing, kid: "pair" } };
  const confused = await createSigner(() => named, names).sign(record);
  const verifier = createVerifier({ ...names, ring: () => ring, cacheSize: 1 });
  expect(await verifier.verify(confused, NOW * 1000)).toMatchObject({
    ok: false,
    reason: "credential_invalid",
  });
});

describe("an invalid key set is rejected as a whole, and the message contains no part of a key", () => {
  const es = newJwk("ES256", "es");
  const rsa = newJwk("RS256", "rsa");
  const weakRsa = newJwk("RS256", "weak", 1024);
  test.each<readonly [string, readonly object[], string]>([
    ["with no key", [], "is no JWK Set: keys: "],
    ["without kid", [{ ...es, kid: undefined }], "keys[0]: needs a kid"],
    ["with a kid with a blank", [{ ...es, kid: "a b" }], "needs a kid"],
    ["with a kid twice", [es, newJwk("ES256", "es")], 'keys[1] ("es"): a second key with this kid'],
    ["without alg", [{ ...es, alg: undefined }], 'keys[0] ("es"): needs an alg'],
    ["with another alg", [{ ...es, alg: "ES512" }], "needs an alg"],
    ["with alg none", [{ ...es, alg: "none" }], "needs an alg"],
    ["with the alg of another kind of key", [{ ...es, alg: "RS256" }], "RS256 takes a key of kty RSA"],
    ["with another curve", [{ ...es, crv: "P-384" }], "and crv P-256"],
    ["for encryption", [{ ...es, use: "enc" }], 'use must be sig, not "enc"'],
    ["for other operations", [{ ...es, key_ops: ["deriveKey"] }], "key_ops must be"],
    ["with a small RSA key", [weakRsa], "an RSA key has 2048 to 8192 bits, not 1024"],
    ["with an exponent of 1", [{ ...rsa, e: "AQ" }], "an RSA exponent is odd and at least 65537"],
    ["with an even exponent", [{ ...rsa, e: "AQAC" }], "an RSA exponent is odd"],
    ["with halves of two keys", [{ ...es, d: newJwk("ES256", "x")["d"] }], "cannot be used"],
    [
      "with halves of two keys (EdDSA)",
      [{ ...newJwk("EdDSA", "ed"), d: newJwk("EdDSA", "x")["d"] }],
      'keys[0] ("ed")',
    ],
    [
      "with halves of two keys (RSA)",
      [{ ...rsa, e: "AQAD" }],
      "its private and its public part belong to two keys",
    ],
    ["with garbage for a key", [{ ...es, x: "AAAA" }], "cannot be used"],
    ["with a short secret", [{ kty: "oct", k: "AAAA", kid: "k", alg: "HS256" }], "at least 32 bytes"],
    ["with a secret without k", [{ kty: "oct", kid: "k", alg: "HS256" }], "at least 32 bytes"],
    ["with secrets beside pairs", [es, newJwk("HS256", "hs")], "never stand in one set"],
    ["with an invalid key", [{ kid: "x" }], "is no JWK Set: keys.0.kty"],
    ["with too many keys", Array.from({ length: 65 }, () => es), "is no JWK Set: keys"],
  ])("a key set %s is rejected", async (_what, keys, problem) => {
    const problems = (await problemsOf(...keys)).join("\n");
    expect(problems).toContain(problem);
    for (const secret of [es["d"], rsa["d"], weakRsa["d"]]) expect(problems).not.toContain(secret);
  });

  test("a text that is no JWK Set is rejected with each reason and its place", async () => {
    expect(await parseKeySet("[]", anyWillDo)).toEqual({
      ok: false,
      problems: [expect.stringMatching(/^is no JWK Set: it: /)],
    });
    expect(await problemsOf({}, {})).toEqual([
      expect.stringMatching(/^is no JWK Set: keys\.0\.kty: .*; keys\.1\.kty: /),
    ]);
  });

  test.each(["", "[]", "null", "{}", '{"keys":{}}', "no JSON"])(
    "the text %j is rejected as a key set",
    async (text) => {
      expect(await parseKeySet(text, anyWillDo)).toMatchObject({ ok: false });
    },
  );

  test("a key set with a weak secret is rejected", async () => {
    const weak = { kty: "oct", k: Buffer.from("x".repeat(40)).toString("base64url"), kid: "k", alg: "HS256" };
    const parsed = await parseKeySet(JSON.stringify({ keys: [weak] }), () => "repeats itself");
    expect(parsed).toEqual({ ok: false, problems: ['keys[0] ("k"): its secret repeats itself'] });
  });
});
