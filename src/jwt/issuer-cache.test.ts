import { importJWK, SignJWT } from "jose";
import { beforeAll, expect, test } from "vitest";
import type { TestJwk } from "../../test/support/jwk.ts";
import { jwkSet, newJwk, publicPart } from "../../test/support/jwk.ts";
import { parsedPolicy } from "../../test/support/parsed-policy.ts";
import type { Policy } from "../core/policy/policy.ts";
import { FamilyCounts } from "../core/usage/family-counts.ts";
import { createIssuerVerifier } from "./issuer-verifier.ts";

const NOW = 1_800_000_000;
const NOW_MS = NOW * 1000;
let jwk: TestJwk;

beforeAll(() => {
  jwk = newJwk("ES256", "one");
});

const ISSUERS = `issuers:
  - { name: corp, issuer: i1, jwks_uri: "https://one/keys", audience: api, roles: [basic], max_token_bytes: 4096 }
  - { name: other, issuer: i2, jwks_uri: "https://two/keys", audience: api, roles: [basic] }`;

function policyOf(issuers = ISSUERS): Policy {
  return parsedPolicy(`
roles: { basic: { scopes: [a], ttl: 1d, refresh_window: 1h } }
routes: []
${issuers}
`);
}

/** A verifier whose keys are what the test publishes, and the URLs that it has fetched. */
function open(first = policyOf(), cacheSize = 10) {
  const state = { policy: first, keys: [jwk], monotonicMs: 0 };
  const fetched: string[] = [];
  const reported: string[] = [];
  const verifier = createIssuerVerifier({
    policy: () => state.policy,
    fetchText: async (uri) => {
      fetched.push(uri);
      if (state.keys.length === 0) throw new Error("no keys");
      return jwkSet(...state.keys.map(publicPart));
    },
    monotonicMs: () => state.monotonicMs,
    waitMs: 30_000,
    cacheSize: () => cacheSize,
    onFetch: (name) => reported.push(name),
  });
  const verify = (token: string, nowMs = NOW_MS) => verifier.of(token)?.verify(token, nowMs);
  return { state, fetched, reported, verifier, verify };
}

async function tokenOf(
  claims: Readonly<Record<string, unknown>> = {},
  key = jwk,
  header: object = {},
): Promise<string> {
  const all = { iss: "i1", aud: "api", sub: "alice", jti: "t1", role: "basic", iat: NOW, exp: NOW + 600 };
  return new SignJWT({ ...all, ...claims })
    .setProtectedHeader({ alg: "ES256", kid: key.kid, ...header })
    .sign(await importJWK({ ...key }, "ES256"));
}

const settle = () => new Promise(setImmediate);

test("the keys of every issuer are fetched before its first token arrives, and once", async () => {
  const { state, fetched, verifier, verify } = open();
  expect(fetched).toEqual([]);
  verifier.prefetch();
  expect(fetched).toEqual(["https://one/keys", "https://two/keys"]);
  await settle();
  expect(await verify(await tokenOf())).toMatchObject({ ok: true });
  expect(await verify(await tokenOf({ iss: "i2" }))).toMatchObject({ ok: true });
  expect(fetched).toHaveLength(2);
  state.policy = policyOf(`${ISSUERS}
  - { name: third, issuer: i3, jwks_uri: "https://three/keys", audience: api, roles: [basic] }`);
  state.monotonicMs += 10_000;
  verifier.prefetch();
  expect(fetched.at(-1)).toBe("https://three/keys");
});

test("a fetch is reported for every issuer that has its keys at the URL, and for no other", async () => {
  const shared = `${ISSUERS}
  - { name: tenant, issuer: i3, jwks_uri: "https://one/keys", audience: api, roles: [basic] }`;
  const { reported, verify } = open(policyOf(shared));
  await verify(await tokenOf());
  expect(reported).toEqual(["corp", "tenant"]);
  await verify(await tokenOf({ iss: "i2" }));
  expect(reported).toEqual(["corp", "tenant", "other"]);
});

test("a token is valid by any key of its kid, whatever their order", async () => {
  const other = newJwk("ES256", "one");
  for (const keys of [
    [jwk, other],
    [other, jwk],
  ]) {
    const { state, verify } = open();
    state.keys = keys;
    expect(await verify(await tokenOf())).toMatchObject({ ok: true });
  }
});

test("a principal that is evicted leaves the counts of its family", async () => {
  const { verify } = open(policyOf(), 1);
  const verified = await verify(await tokenOf());
  const principal = verified?.ok ? verified.principal : expect.unreachable();
  const counts = new FamilyCounts("acme");
  counts.reachedFrom(principal);
  await verify(await tokenOf({ jti: "t2" }));
  await verify(await tokenOf({ jti: "t3" }));
  expect(principal.counts).toBeUndefined();
});

test("a token is verified once, and then known at once until the keys or the policy change", async () => {
  const { state, verify } = open();
  const token = await tokenOf();
  expect(verify(token)).toBeInstanceOf(Promise);
  await verify(token);
  expect(verify(token)).toMatchObject({ ok: true, principal: { keyId: "corp:t1" } });
  // The clock may differ by a minute.
  expect(verify(token, (NOW + 660) * 1000 - 1)).toMatchObject({ ok: true });
  expect(verify(token, (NOW + 660) * 1000)).toMatchObject({ ok: false, reason: "key_expired" });
  state.policy = policyOf();
  expect(verify(token)).toBeInstanceOf(Promise);
  await verify(token);
  expect(verify(token)).toMatchObject({ ok: true });
  state.keys = [newJwk("ES256", "one")];
  state.monotonicMs += 300_001;
  expect(await verify(token)).toEqual({
    ok: false,
    reason: "credential_invalid",
    rejection: { cause: "signature_wrong", issuer: "corp" },
  });
});

test("a principal whose keys changed while it was verified is not kept", async () => {
  const { state, verify, verifier } = open();
  const token = await tokenOf();
  verifier.prefetch();
  await settle();
  const pending = verify(token);
  state.keys = [newJwk("ES256", "one")];
  state.monotonicMs += 300_001;
  // Another token fetches the new keys meanwhile.
  void verify(await tokenOf({ jti: "t2" }));
  expect(await pending).toMatchObject({ ok: true });
  expect(await verify(token)).toMatchObject({ ok: false, rejection: { cause: "signature_wrong" } });
});

test("without the issuer's keys a token is neither valid nor invalid", async () => {
  const { state, verify } = open();
  state.keys = [];
  expect(await verify(await tokenOf())).toEqual({
    ok: false,
    reason: "credential_unavailable",
    rejection: { cause: "keys_unavailable", issuer: "corp" },
  });
});

test("a token whose kid names no key, or none for its algorithm, is invalid", async () => {
  const { state, verify } = open();
  const token = await tokenOf();
  state.keys = [newJwk("ES256", "two")];
  expect(await verify(token)).toMatchObject({ rejection: { cause: "key_unknown" } });
  state.monotonicMs += 10_000;
  state.keys = [{ ...jwk, use: "enc" }];
  expect(await verify(token)).toMatchObject({
    reason: "credential_invalid",
    rejection: { cause: "key_unsuitable" },
  });
});

test("an alg that Latchkey knows, and the policy does not list for the issuer, is rejected", async () => {
  const { verify, fetched } = open(policyOf(ISSUERS.replace("max_token_bytes: 4096", "algorithms: [RS256]")));
  expect(await verify(await tokenOf())).toMatchObject({ rejection: { cause: "algorithm_not_allowed" } });
  expect(fetched).toEqual([]);
});

test("a token has the typ that the policy requires, if it requires one", async () => {
  const typed = open(policyOf(ISSUERS.replace("max_token_bytes: 4096", "typ: at+jwt")));
  expect(await typed.verify(await tokenOf())).toMatchObject({ rejection: { cause: "type_wrong" } });
  expect(await typed.verify(await tokenOf({}, jwk, { typ: "at+jwt" }))).toMatchObject({ ok: true });
  expect(await open().verify(await tokenOf({}, jwk, { typ: "at+jwt" }))).toMatchObject({ ok: true });
});

test("the holder of an expired token reads that it has expired", async () => {
  const { verify } = open();
  expect(await verify(await tokenOf({ exp: NOW - 100, iat: NOW - 200 }))).toMatchObject({
    ok: false,
    reason: "key_expired",
    principal: { keyId: "corp:t1" },
  });
});

test("an expired token is not kept, and neither is a rejected one", async () => {
  const { verify } = open();
  for (const token of [await tokenOf({ exp: NOW - 100, iat: NOW - 200 }), await tokenOf({ aud: "other" })]) {
    expect(await verify(token)).toMatchObject({ ok: false });
    expect(verify(token)).toBeInstanceOf(Promise);
    await verify(token);
  }
});

test("a token of no issuer of the policy is no issuer's, whatever its form", async () => {
  const { verifier } = open();
  const known = await tokenOf();
  expect(verifier.of(known)).toBeDefined();
  const [header = "", , signature = ""] = known.split(".");
  const payload = (claims: unknown) => Buffer.from(JSON.stringify(claims)).toString("base64url");
  for (const claims of [{}, { iss: 5 }, { iss: "i3" }, [], null, "i1"])
    expect(verifier.of(`${header}.${payload(claims)}.${signature}`)).toBeUndefined();
  for (const token of ["", "a", "a.b", ".."]) expect(verifier.of(token)).toBeUndefined();
  expect(open(policyOf("")).verifier.of(known)).toBeUndefined();
});

test("a token that is too long for its issuer is still its token, and one that is too long for any is not", async () => {
  const { verifier, verify, fetched } = open();
  const padded = (length: number) => {
    const token = `h.${Buffer.from('{"iss":"i1"}').toString("base64url")}.`;
    return token + "a".repeat(length - token.length);
  };
  expect(verify(padded(4097))).toEqual({
    ok: false,
    reason: "credential_invalid",
    rejection: { cause: "token_too_long", issuer: "corp" },
  });
  expect(verify(padded(4096))).toMatchObject({ rejection: { cause: "token_malformed" } });
  expect(verifier.of(padded(49_152))).toBeDefined();
  expect(verifier.of(padded(49_153))).toBeUndefined();
  expect(fetched).toEqual([]);
});

test.each<readonly [what: string, header: object, cause: string]>([
  ["no kid", { alg: "ES256" }, "header_not_accepted"],
  ["an empty kid", { alg: "ES256", kid: "" }, "header_not_accepted"],
  ["a long kid", { alg: "ES256", kid: "k".repeat(257) }, "header_not_accepted"],
  ["no alg", { kid: "one" }, "header_not_accepted"],
  ["critical extensions", { alg: "ES256", kid: "one", crit: ["x"] }, "header_not_accepted"],
  ["an unencoded payload", { alg: "ES256", kid: "one", b64: true }, "header_not_accepted"],
  ["an unknown alg", { alg: "none", kid: "one" }, "algorithm_not_allowed"],
  ["an alg that the policy does not list", { alg: "PS512", kid: "one" }, "algorithm_not_allowed"],
])("a token whose header has %s is rejected before any key is fetched", async (_what, header, cause) => {
  const { verify, fetched } = open();
  const [, payload, signature] = (await tokenOf()).split(".");
  const token = `${Buffer.from(JSON.stringify(header)).toString("base64url")}.${payload}.${signature}`;
  expect(verify(token)).toMatchObject({ ok: false, rejection: { cause, issuer: "corp" } });
  expect(fetched).toEqual([]);
});
