import { createHmac, randomBytes } from "node:crypto";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { jwkSet, newJwk } from "../../test/support/jwk.ts";
import type { Verification } from "../core/decision/ports.ts";
import type { KeyRecord } from "../core/keys/key-record.ts";
import { claimsOf } from "../core/keys/key-record.ts";
import { FamilyCounts } from "../core/usage/family-counts.ts";
import type { KeyRing } from "./key-ring.ts";
import { createKeyRing, joinKeys, secretKid } from "./key-ring.ts";
import { parseKeySet } from "./key-set.ts";
import { createSigner } from "./signer.ts";
import { createVerifier } from "./verifier.ts";

const NOW = 1_800_000_000;
const SECRET = randomBytes(32).toString("base64url");
const OTHER = randomBytes(32).toString("base64url");
const names = { issuer: "blyan-api", audience: "latchkey" };
const record: KeyRecord = {
  keyId: "basic_1800000000_abcdefghijklmnopqrstuv",
  family: "fam_abcdefghijklmnopqrstuv",
  familyStartedAt: NOW,
  owner: "acme",
  role: "basic",
  scopes: ["chat:read", "chat:write"],
  // Three consecutive question marks put a "_" into the token at any alignment.
  name: "Zoë???",
  issuedAt: NOW,
  expiresAt: NOW + 1000,
  refreshAfter: NOW + 500,
  selfService: false,
  disabled: false,
  version: 1,
};
let ring: KeyRing;
let token: string;

beforeAll(async () => {
  ring = await createKeyRing([SECRET]);
  token = await createSigner(() => ring, names).sign(record);
});

type Members = Readonly<Record<string, unknown>>;

function encode(value: unknown): string {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
}

/** Signs any input with the real secret, so that only its content is invalid. */
function forge(header: unknown, claims: unknown, secret = SECRET): string {
  const signed = `${encode(header)}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

const validHeader = () => ({ typ: "JWT", alg: "HS256", kid: ring.signing.kid });
const validClaims = () => ({ ...claimsOf(record, names.issuer, names.audience) });

async function verify(text: string, nowSeconds = NOW, keys = ring): Promise<string> {
  const verifier = createVerifier({ ...names, ring: () => keys, cacheSize: 10 });
  const result: Verification = await verifier.verify(text, nowSeconds * 1000);
  return result.ok ? "valid" : result.reason;
}

test("a token that we signed is valid and names its principal", async () => {
  const verifier = createVerifier({ ...names, ring: () => ring, cacheSize: 10 });
  const { keyId, family, owner, role, scopes, name, issuedAt, expiresAt, refreshAfter } = record;
  const principal = { keyId, family, owner, role, scopes, name, issuedAt, expiresAt, refreshAfter };
  expect(await verifier.verify(token, NOW * 1000)).toEqual({ ok: true, principal });
  expect(await verify(forge(validHeader(), validClaims()))).toBe("valid");
});

test("a key's binding is stored in its token and read from it", async () => {
  const binding = { nets: ["192.0.2.0/24", "::/0"], certificate: "A".repeat(43) };
  const bound = await createSigner(() => ring, names).sign({ ...record, ...binding });
  const verifier = createVerifier({ ...names, ring: () => ring, cacheSize: 10 });
  expect(await verifier.verify(bound, NOW * 1000)).toMatchObject({ ok: true, principal: binding });
});

test("a key's plan is stored in its token and read from it, and no other form of the claim is accepted", async () => {
  const planned = await createSigner(() => ring, names).sign({ ...record, plan: "team" });
  const verifier = createVerifier({ ...names, ring: () => ring, cacheSize: 10 });
  expect(await verifier.verify(planned, NOW * 1000)).toMatchObject({ ok: true, principal: { plan: "team" } });
  // The same role and scopes without a plan must not share the plan of another key.
  const unplanned = await verifier.verify(token, NOW * 1000);
  expect(unplanned.ok && unplanned.principal).not.toHaveProperty("plan");
  for (const plan of ["", "a b", "plan/x", 5, null, ["team"], "x".repeat(65)])
    expect([plan, await verify(forge(validHeader(), { ...validClaims(), plan }))]).toEqual([
      plan,
      "credential_invalid",
    ]);
});

describe("a token has exactly one spelling", () => {
  const spellings: readonly (readonly [what: string, alter: (text: string) => string])[] = [
    ["padding", (text) => `${text}=`],
    ["a trailing space", (text) => `${text} `],
    ["a trailing newline", (text) => `${text}\n`],
    ["a space inside", (text) => text.replace(".", ". ")],
    ["the other base64 alphabet", (text) => text.replace("_", "/")],
    ["a fourth part", (text) => `${text}.x`],
    ["two parts", (text) => text.split(".").slice(0, 2).join(".")],
    ["an empty signature", (text) => `${text.split(".").slice(0, 2).join(".")}.`],
    [
      "an unused bit of the signature",
      (text) => text.slice(0, -1) + String.fromCharCode(text.charCodeAt(text.length - 1) + 1),
    ],
  ];
  test.each(spellings)("a token with %s is rejected", async (_what, alter) => {
    // The last character of 32 encoded bytes has two unused bits.
    const last = "AEIMQUYcgkosw048".includes(token.at(-1) ?? "");
    expect(last).toBe(true);
    expect(await verify(alter(token))).toBe("credential_invalid");
  });
});

describe("a header that we did not write is rejected", () => {
  const headers: readonly (readonly [what: string, header: () => unknown])[] = [
    ["alg none", () => ({ ...validHeader(), alg: "none" })],
    ["alg in lower case", () => ({ ...validHeader(), alg: "hs256" })],
    ["another alg", () => ({ ...validHeader(), alg: "HS512" })],
    ["no alg", () => ({ typ: "JWT", kid: ring.signing.kid })],
    ["no typ", () => ({ alg: "HS256", kid: ring.signing.kid })],
    ["another typ", () => ({ ...validHeader(), typ: "at+jwt" })],
    ["no kid", () => ({ typ: "JWT", alg: "HS256" })],
    ["an unknown kid", () => ({ ...validHeader(), kid: "x" })],
    ["a kid that is no text", () => ({ ...validHeader(), kid: 1 })],
    ["a long kid", () => ({ ...validHeader(), kid: "k".repeat(100) })],
    ["a jwk", () => ({ ...validHeader(), jwk: {} })],
    ["crit", () => ({ ...validHeader(), crit: ["b64"], b64: true })],
    ["cty", () => ({ ...validHeader(), cty: "JWT" })],
    ["a BOM", () => `\ufeff${JSON.stringify(validHeader())}`],
    ["no JSON", () => "x"],
    ["null", () => null],
  ];
  test.each(headers)("a header with %s is rejected", async (_what, header) => {
    expect(await verify(forge(header(), validClaims()))).toBe("credential_invalid");
  });
});

describe("claims that we did not write are rejected", () => {
  const changes: readonly (readonly [what: string, change: Members])[] = [
    ["another issuer", { iss: "x" }],
    ["another audience", { aud: "x" }],
    ["two audiences", { aud: ["latchkey", "x"] }],
    ["a subject that is a number", { sub: 5 }],
    ["an empty subject", { sub: "" }],
    ["a key id of another form", { jti: "basic_x" }],
    ["a key id with a glob", { jti: "basic_1_abcdefghijklmnop*" }],
    ["a key id that is an object", { jti: {} }],
    ["a scope list", { scope: ["chat:read"] }],
    ["exp as a float", { exp: NOW + 0.5 }],
    ["exp in milliseconds", { exp: (NOW + 1000) * 1000 }],
    ["exp without end", { exp: 1e308 }],
    ["exp as text", { exp: String(NOW + 1000) }],
    ["exp before iat", { exp: NOW - 1, iat: NOW }],
    ["more than 400 days", { exp: NOW + 400 * 86_400 + 1 }],
    ["a subject that is not the family", { sub: "fam_another000000000000000" }],
    ["a family that is not the subject", { fam: "fam_another000000000000000" }],
    ["a role that is not the key id's", { role: "admin" }],
    ["a key id of another role", { jti: "admin_1800000000_abcdefghijklmnopqrstuv" }],
    ["a key id of a role that begins alike", { jti: "basic_x_1800000000_abcdefghijklmnopqrstuv" }],
    ["the key id of a V1 key", { jti: "basic_1800000000_v1abcdefghijklmnopqrstuv" }],
    ["nbf before iat", { nbf: NOW - 1 }],
    ["nbf after iat", { nbf: NOW + 1 }],
    ["refresh_after before iat", { refresh_after: NOW - 1 }],
    ["refresh_after beyond exp", { refresh_after: NOW + 1001 }],
    ["a scope with a control character", { scope: "chat:read\nadmin" }],
    ["two spaces between scopes", { scope: "chat:read  chat:write" }],
    ["a space behind the scopes", { scope: "chat:read " }],
    ["an invalid scope", { scope: "chat:read,keys:write" }],
    ["iat in the future", { iat: NOW + 6 }],
    ["nbf in the future", { nbf: NOW + 6 }],
    ["a claim that we do not know", { admin: true }],
    ["an owner with a separator", { own: "a:b" }],
    ["a name that is an object", { name: {} }],
    ["no networks", { nets: [] }],
    ["more networks than a key can have", { nets: Array.from({ length: 9 }, (_, i) => `10.0.0.${i}/32`) }],
    ["networks as text", { nets: "10.0.0.0/8" }],
    ["a network in another spelling", { nets: ["10.1.1.1/8"] }],
    ["an invalid network", { nets: ["10.0.0.0/8", "everywhere"] }],
    ["a confirmation that we do not know", { cnf: { jkt: "A".repeat(43) } }],
    ["two confirmations", { cnf: { "x5t#S256": "A".repeat(43), jkt: "A".repeat(43) } }],
    ["a thumbprint in another spelling", { cnf: { "x5t#S256": `${"A".repeat(42)}B` } }],
    ["an invalid thumbprint", { cnf: { "x5t#S256": null } }],
  ];
  test.each(changes)("claims with %s are rejected", async (_what, change) => {
    const verdict = await verify(forge(validHeader(), { ...validClaims(), ...change }));
    expect(["credential_invalid", "key_expired"]).toContain(verdict);
    if (!("exp" in change)) expect(verdict).toBe("credential_invalid");
  });

  test.each([
    "iss",
    "aud",
    "sub",
    "fam",
    "jti",
    "name",
    "role",
    "scope",
    "iat",
    "nbf",
    "exp",
    "refresh_after",
  ])("claims without %s are rejected", async (claim) => {
    const left = Object.fromEntries(Object.entries(validClaims()).filter(([name]) => name !== claim));
    expect(await verify(forge(validHeader(), left))).toBe("credential_invalid");
  });

  test("iat and nbf may be 5 seconds ahead, and exp has no tolerance", async () => {
    expect(await verify(forge(validHeader(), { ...validClaims(), iat: NOW + 5, nbf: NOW + 5 }))).toBe(
      "valid",
    );
    expect(await verify(token, NOW + 999)).toBe("valid");
    expect(await verify(token, NOW + 1000)).toBe("key_expired");
  });

  test("Infinity, a BOM, __proto__ and invalid JSON are rejected as claims", async () => {
    const text = JSON.stringify(validClaims());
    for (const odd of [
      text.replace(String(NOW + 1000), "1e999"),
      `\ufeff${text}`,
      text.replace("{", '{"__proto__":{},'),
      "x",
      "[]",
      "null",
    ]) {
      expect(await verify(forge(validHeader(), odd))).toBe("credential_invalid");
    }
  });
});

test("only the holder of a validly signed token learns that it has expired", async () => {
  const verifier = createVerifier({ ...names, ring: () => ring, cacheSize: 10 });
  expect(await verifier.verify(token, (NOW + 2000) * 1000)).toMatchObject({
    ok: false,
    reason: "key_expired",
    principal: { keyId: record.keyId },
  });
  expect(await verify(forge(validHeader(), validClaims(), OTHER), NOW + 2000)).toBe("credential_invalid");
});

test("a token longer than any of ours is rejected before it is decoded", async () => {
  expect(await verify(forge(validHeader(), { ...validClaims(), name: "x".repeat(9000) }))).toBe(
    "credential_invalid",
  );
});

test("every secret of the ring verifies, the first one signs, and a short secret is rejected", async () => {
  const both = await createKeyRing([OTHER, SECRET]);
  expect(await verify(token, NOW, both)).toBe("valid");
  const signed = await createSigner(() => both, names).sign(record);
  expect(await verify(signed, NOW, both)).toBe("valid");
  expect(await verify(signed, NOW, ring)).toBe("credential_invalid");
  await expect(createKeyRing(["x".repeat(31)])).rejects.toThrow(RangeError);
  expect(ring.kids[0]).not.toContain(SECRET.slice(0, 6));
  expect(ring.publicJwks).toEqual([]);
  expect(ring.signing.key.extractable).toBe(false);
});

test("the kid of a secret stays the same in every version, because issued tokens name it", () => {
  expect(secretKid("a secret of at least thirty-two bytes")).toBe("P7f2mUazcE9FfIgT");
});

describe("the token cache", () => {
  test("the cache responds synchronously until the key expires or the keys change", async () => {
    const results: string[] = [];
    let keys = ring;
    const verifier = createVerifier({
      ...names,
      ring: () => keys,
      cacheSize: 10,
      observe: (result) => results.push(result),
    });
    await verifier.verify(token, NOW * 1000);
    expect(verifier.verify(token, NOW * 1000)).toMatchObject({ ok: true });
    expect(verifier.verify(token, (NOW + 1000) * 1000)).toMatchObject({ ok: false, reason: "key_expired" });
    expect(results).toEqual(["miss", "hit", "hit"]);
    keys = await createKeyRing([OTHER]);
    verifier.clear();
    expect(await verifier.verify(token, NOW * 1000)).toMatchObject({
      ok: false,
      reason: "credential_invalid",
    });
  });

  test("a cached token costs no second signature check, whatever its algorithm", async () => {
    const parsed = await parseKeySet(jwkSet(newJwk("EdDSA", "pair")), () => undefined);
    const pair = joinKeys(parsed.ok ? parsed.keys : []);
    const signed = await createSigner(() => pair, names).sign(record);
    const verifier = createVerifier({ ...names, ring: () => pair, cacheSize: 10 });
    expect(await verifier.verify(signed, NOW * 1000)).toMatchObject({ ok: true });
    expect(verifier.verify(signed, NOW * 1000)).toMatchObject({ ok: true });
  });

  test("cached keys share memory and never scopes, roles or plans", async () => {
    const verifier = createVerifier({ ...names, ring: () => ring, cacheSize: 10 });
    const grants = [
      { scope: "chat:read x", scopes: ["chat:read", "x"] },
      { scope: "chat:rea dx", scopes: ["chat:rea", "dx"] },
      { scope: "chat:readx", scopes: ["chat:readx"] },
      { scope: "y", plan: "x", scopes: ["y"] },
      { scope: "y", plan: "z", scopes: ["y"] },
      { scope: "x y", scopes: ["x", "y"] },
      { scope: "chat:read x", plan: "x", scopes: ["chat:read", "x"] },
    ];
    for (const { scopes, ...claims } of [...grants, ...grants].reverse()) {
      const verified = await verifier.verify(
        forge(validHeader(), { ...validClaims(), ...claims }),
        NOW * 1000,
      );
      const principal = verified.ok ? verified.principal : expect.unreachable();
      expect([principal.role, principal.plan, principal.scopes]).toEqual(["basic", claims.plan, scopes]);
    }
  });

  test("a token is not cached if the keys changed while its signature was checked", async () => {
    const old = await parseKeySet(jwkSet(newJwk("ES256", "old")), () => undefined);
    let keys = joinKeys(old.ok ? old.keys : []);
    const signed = await createSigner(() => keys, names).sign(record);
    const verifier = createVerifier({ ...names, ring: () => keys, cacheSize: 10 });
    const pending = verifier.verify(signed, NOW * 1000);
    expect(pending).toBeInstanceOf(Promise);
    // As on a reload of the key file, which withdraws a stolen key.
    keys = ring;
    verifier.clear();
    await pending;
    expect(await verifier.verify(signed, NOW * 1000)).toMatchObject({
      ok: false,
      reason: "credential_invalid",
    });
  });

  test("the cache is bounded and keeps recently used tokens", async () => {
    const results: string[] = [];
    const verifier = createVerifier({
      ...names,
      ring: () => ring,
      cacheSize: 2,
      observe: (result) => results.push(result),
    });
    const [first = "", second = "", third = ""] = ["a", "b", "c"].map((name) =>
      forge(validHeader(), { ...validClaims(), name }),
    );
    for (const text of [first, second, first, third, first, second]) await verifier.verify(text, NOW * 1000);
    expect(results).toEqual(["miss", "miss", "hit", "miss", "hit", "miss"]);
  });

  test("the counts of a family do not keep an evicted key in memory", async () => {
    const verifier = createVerifier({ ...names, ring: () => ring, cacheSize: 1 });
    const verified = await verifier.verify(token, NOW * 1000);
    if (!verified.ok) throw new Error(verified.reason);
    const counts = new FamilyCounts("acme");
    counts.reachedFrom(verified.principal);
    expect(verified.principal.counts).toBe(counts);
    await verifier.verify(forge(validHeader(), { ...validClaims(), name: "other" }), NOW * 1000);
    expect(verified.principal.counts).toBeUndefined();
  });

  test("the cache never keeps a rejected token", async () => {
    const verifier = createVerifier({ ...names, ring: () => ring, cacheSize: 10 });
    const bad = forge(validHeader(), validClaims(), OTHER);
    await verifier.verify(bad, NOW * 1000);
    expect(await verifier.verify(bad, NOW * 1000)).toMatchObject({ ok: false, reason: "credential_invalid" });
  });
});

test("for any input, the verifier neither throws nor accepts", async () => {
  const part = fc.oneof(fc.string(), fc.stringMatching(/^[A-Za-z0-9_-]*$/), fc.json().map(encode));
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.string({ unit: "binary" }),
        fc.tuple(part, part, part).map((parts) => parts.join(".")),
      ),
      async (text) => {
        expect(await verify(text)).toBe("credential_invalid");
      },
    ),
  );
});
