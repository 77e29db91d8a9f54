import { describe, expect, test } from "vitest";
import { parsedPolicy } from "../../test/support/parsed-policy.ts";
import { MAX_KEY_LIFE_SECONDS } from "../core/keys/key-lifecycle.ts";
import { NEVER } from "../core/keys/key-record.ts";
import { principalOf } from "./issuer-claims.ts";

const NOW = 1_800_000_000;

/** The claims of a valid token. */
const CLAIMS = { jti: "t1", sub: "ada", role: "basic", iat: NOW - 10, exp: NOW + 600 };

/** What Latchkey makes of these claims of an issuer with these members in the policy. */
function mapped(claims: unknown, more = "") {
  const policy = parsedPolicy(`
roles:
  basic: { scopes: [a, b], ttl: 1d, refresh_window: 1h }
  pro: { scopes: [a, b, c], ttl: 1d, refresh_window: 1h }
  none: { scopes: [], ttl: 1d, refresh_window: 1h }
plans: { team: { rate_limits: [] }, free: { rate_limits: [] } }
routes: []
issuers:
  - { name: corp, issuer: i, jwks_uri: "https://i/keys", audience: api, roles: [pro, basic, none]${more} }
`);
  const [issuer = expect.unreachable()] = policy.issuers;
  return principalOf(claims, "the token", issuer, policy, NOW * 1000);
}

const withClaims = (more: Readonly<Record<string, unknown>>, policy = "") =>
  mapped({ ...CLAIMS, ...more }, policy);

test("a principal has exactly what the policy takes from the claims", () => {
  expect(mapped(CLAIMS)).toStrictEqual({
    issuer: "corp",
    keyId: "corp:t1",
    family: "corp:ada",
    owner: "corp:ada",
    role: "basic",
    scopes: ["a", "b"],
    name: "ada",
    issuedAt: NOW - 10,
    expiresAt: NOW + 600,
    refreshAfter: NEVER,
  });
});

describe("times", () => {
  const life = (iat: unknown, exp: unknown) => withClaims({ iat, exp });

  test.each<readonly [what: string, iat: unknown, exp: unknown]>([
    ["without iat", undefined, NOW],
    ["without exp", NOW, undefined],
    ["as text", String(NOW), NOW + 600],
    ["that end before they begin", NOW, NOW - 1],
    ["without a life", NOW, NOW],
    ["before 1970", -1, NOW],
    ["after the year 9999", NEVER - 10, NEVER + 1],
    ["of a longer life than any key has", NOW, NOW + MAX_KEY_LIFE_SECONDS + 1],
  ])("%s are not accepted", (_what, iat, exp) => expect(life(iat, exp)).toBe("times_not_accepted"));

  test("are accepted up to the longest life, and with a fraction (RFC 7519 §2), which is cut off", () => {
    expect(life(NOW, NOW + MAX_KEY_LIFE_SECONDS)).toMatchObject({ issuedAt: NOW });
    expect(life(NOW - 0.5, NOW + 600.9)).toMatchObject({ issuedAt: NOW - 1, expiresAt: NOW + 600 });
  });

  test("further ahead than the clock skew date a token so early that every cut-off revokes it", () => {
    const issuedAt = (iat: number, policy = "") => withClaims({ iat, exp: NOW + 900 }, policy);
    expect(issuedAt(NOW + 60)).toMatchObject({ issuedAt: NOW + 60 });
    expect(issuedAt(NOW + 61)).toMatchObject({ issuedAt: 0 });
    expect(issuedAt(NOW + 1, ", clock_skew: 0s")).toMatchObject({ issuedAt: 0 });
  });

  test("are missing in anything that is no object", () => {
    for (const claims of [undefined, null, "text", 5, []]) expect(mapped(claims)).toBe("times_not_accepted");
  });
});

describe("ids", () => {
  test("of a token without jti are made from the token, so that it can be revoked by itself", () => {
    const { jti: _, ...rest } = CLAIMS;
    // SHA-256 of "the token" in base64url.
    expect(mapped(rest)).toMatchObject({ keyId: expect.stringMatching(/^corp:[A-Za-z0-9_-]{43}$/) });
  });

  test.each<readonly [string, Record<string, unknown>]>([
    ["a jti that is no text", { jti: 5 }],
    ["an empty jti", { jti: "" }],
    ["a long jti", { jti: "x".repeat(201) }],
    ["no subject", { sub: undefined }],
    ["a subject that is no text", { sub: ["ada"] }],
  ])("%s is not accepted", (_what, claims) => expect(withClaims(claims)).toBe("id_not_accepted"));

  test.each([
    [{ org: "acme" }, { owner: "corp:acme" }],
    [{ org: "a/b" }, { owner: "corp:a%2Fb" }],
    [{}, "owner_not_accepted"],
    [{ org: "" }, "owner_not_accepted"],
    [{ org: { id: "acme" } }, "owner_not_accepted"],
  ])(
    "of an owner come from the claim that the policy names, and are required then: %j",
    (claims, expected) => {
      const found = withClaims(claims, ", claims: { owner: org }");
      if (typeof expected === "string") expect(found).toBe(expected);
      else expect(found).toMatchObject(expected);
    },
  );
});

describe("a role", () => {
  test.each<readonly [what: string, role: unknown, policy: string, expected: string]>([
    ["is the first of the policy's list that the token names", ["basic", "pro"], "", "pro"],
    ["is one of several words", "x basic", "", "basic"],
    ["has another name in the token", "staff", ", role_map: { staff: pro }", "pro"],
    ["is the default without a known one", "x", ", default_role: basic", "basic"],
  ])("%s", (_what, role, policy, expected) => {
    expect(withClaims({ role }, policy)).toMatchObject({ role: expected });
  });

  test.each(["admin", "", undefined, 5, [], ["x"]])("%j is missing", (role) => {
    expect(withClaims({ role })).toBe("role_missing");
  });
});

describe("scopes", () => {
  const scoped = ", claims: { scope: scp }";

  test("are those of the role if the policy names no claim", () => {
    expect(withClaims({ scp: "a" })).toMatchObject({ scopes: ["a", "b"] });
    expect(withClaims({ role: "none" })).toMatchObject({ scopes: [] });
  });

  test.each<readonly [scp: unknown, scopes: readonly string[]]>([
    ["b a", ["a", "b"]],
    ["a c", ["a"]],
    [["b"], ["b"]],
    ["", []],
    [undefined, []],
    [5, []],
  ])("%j are narrowed to those that the role has", (scp, scopes) => {
    expect(withClaims({ scp }, scoped)).toMatchObject({ scopes });
  });
});

describe("a plan", () => {
  const planned = ", claims: { plan: tier }, plans: [team, free]";

  test("is the first of the policy's list that the token names", () => {
    expect(withClaims({ tier: "free team" }, planned)).toMatchObject({ plan: "team" });
    expect(withClaims({ tier: ["free"] }, planned)).toMatchObject({ plan: "free" });
  });

  test("outside the list, or without a claim of the policy, is ignored", () => {
    expect(withClaims({ tier: "gold" }, planned)).not.toHaveProperty("plan");
    expect(withClaims({ tier: "free", plan: "free" })).not.toHaveProperty("plan");
  });
});

describe("a name", () => {
  test("is the claim of the policy, or the subject", () => {
    expect(withClaims({ email: "a@b.c" }, ", claims: { name: email }")).toMatchObject({ name: "a@b.c" });
    expect(withClaims({}, ", claims: { name: email }")).toMatchObject({ name: "ada" });
    expect(withClaims({ email: 5 }, ", claims: { name: email }")).toMatchObject({ name: "ada" });
  });

  test("has at most 128 characters, and no half of one", () => {
    const name = (text: string) => withClaims({ email: text }, ", claims: { name: email }");
    expect(name("🔑".repeat(130))).toMatchObject({ name: "🔑".repeat(128) });
    expect(name("x".repeat(128))).toMatchObject({ name: "x".repeat(128) });
  });
});
