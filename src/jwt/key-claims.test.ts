import { describe, expect, test } from "vitest";
import { MAX_KEY_LIFE_SECONDS } from "../core/keys/key-lifecycle.ts";
import { verifyClaims } from "./key-claims.ts";

const NOW = 1_800_000_000;
const KEY_ID = `basic_${NOW}_abcdefghijklmnopqrstuv`;
const FAMILY = "fam_abcdefghijklmnopqrstuv";
const CLAIMS = {
  iss: "i",
  aud: "a",
  sub: FAMILY,
  fam: FAMILY,
  jti: KEY_ID,
  name: "n",
  role: "basic",
  scope: "chat:read chat:write",
  iat: NOW,
  nbf: NOW,
  exp: NOW + 1000,
  refresh_after: NOW + 500,
};
const PRINCIPAL = {
  keyId: KEY_ID,
  family: FAMILY,
  role: "basic",
  scopes: ["chat:read", "chat:write"],
  name: "n",
  issuedAt: NOW,
  expiresAt: NOW + 1000,
  refreshAfter: NOW + 500,
  // Nothing is noted on the key yet.
  usedAt: undefined,
  counts: undefined,
};

const verified = (more: object, nowMs = NOW * 1000) => verifyClaims({ ...CLAIMS, ...more }, nowMs);
const rejection = (cause: string) => ({ ok: false, reason: "credential_invalid", rejection: { cause } });

describe("a principal", () => {
  test("has exactly what the claims say", () => {
    expect(verified({})).toStrictEqual({ ok: true, principal: PRINCIPAL });
    const more = { own: "acme", plan: "team", nets: ["192.0.2.0/24"] };
    expect(verified({ ...more, cnf: { "x5t#S256": "A".repeat(43) } })).toStrictEqual({
      ok: true,
      principal: {
        ...PRINCIPAL,
        owner: "acme",
        plan: "team",
        nets: ["192.0.2.0/24"],
        certificate: "A".repeat(43),
      },
    });
  });

  test("of the first key of an older family, whose id the family has, is accepted too", () => {
    expect(verified({ fam: KEY_ID, sub: KEY_ID })).toMatchObject({ principal: { family: KEY_ID } });
  });
});

test.each<readonly [what: string, claims: object]>([
  ["another subject", { sub: "fam_bbbbbbbbbbbbbbbbbbbbbb" }],
  ["a key id of another role", { role: "contributor" }],
  ["the id of a V1 key, which has no token", { jti: `basic_${NOW}_v1abcdefghijklmnopqrstuv` }],
  ["another nbf", { nbf: NOW + 1 }],
  ["a refresh before its issue", { refresh_after: NOW - 1 }],
  ["a refresh after its end", { refresh_after: NOW + 1001 }],
  ["a claim of no token of ours", { admin: true }],
])("a token with %s is not accepted", (_what, claims) => {
  expect(verified(claims)).toEqual(rejection("claims_not_accepted"));
});

test("no claims are not accepted", () => {
  expect(verifyClaims(undefined, NOW * 1000)).toEqual(rejection("claims_not_accepted"));
});

test("a refresh is possible from the issue to the end", () => {
  for (const refresh of [NOW, NOW + 1000])
    expect(verified({ refresh_after: refresh })).toMatchObject({ principal: { refreshAfter: refresh } });
});

describe("times", () => {
  const times = (iat: number, exp: number, nowMs = NOW * 1000) =>
    verified({ iat, nbf: iat, exp, refresh_after: iat }, nowMs).ok;

  test("may be five seconds ahead of this instance's clock", () => {
    expect([times(NOW + 5, NOW + 9), times(NOW + 6, NOW + 9)]).toEqual([true, false]);
    expect(verified({ iat: NOW + 6, nbf: NOW + 6 })).toEqual(rejection("times_not_accepted"));
  });

  test("span at most the longest life, and at least a second", () => {
    const { ok: longest } = verified({ exp: NOW + MAX_KEY_LIFE_SECONDS });
    expect([longest, times(NOW, NOW + 1)]).toEqual([true, true]);
    for (const exp of [NOW + MAX_KEY_LIFE_SECONDS + 1, NOW, NOW - 1])
      expect(verified({ exp, refresh_after: NOW })).toEqual(rejection("times_not_accepted"));
  });

  test("have no tolerance at their end", () => {
    expect(times(NOW, NOW + 10, (NOW + 10) * 1000 - 1)).toBe(true);
    expect(times(NOW, NOW + 10, (NOW + 10) * 1000)).toBe(false);
  });
});
