import { createHmac } from "node:crypto";
import type { ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TestedIssuer } from "../../test/support/issuer.ts";
import { startIssuer } from "../../test/support/issuer.ts";
import { newJwk } from "../../test/support/jwk.ts";
import { parsedPolicy } from "../../test/support/parsed-policy.ts";
import type { Policy } from "../core/policy/policy.ts";
import { fetchSet } from "./fetch-set.ts";
import type { IssuerVerifier } from "./issuer-verifier.ts";
import { createIssuerVerifier } from "./issuer-verifier.ts";

const MINUTE_MS = 60_000;
let issuer: TestedIssuer;
let monotonicMs: number;
let faults: string[];

beforeEach(async () => {
  [monotonicMs, faults] = [0, []];
  issuer = await startIssuer();
});
afterEach(() => issuer.stop());

function policyOf(more = "", from: TestedIssuer = issuer): Policy {
  return parsedPolicy(`
roles:
  basic: { scopes: [a, b], ttl: 1d, refresh_window: 1h }
  pro: { scopes: [a, b, c], ttl: 1d, refresh_window: 1h }
plans: { free: { rate_limits: [] }, team: { rate_limits: [] }, gold: { rate_limits: [] } }
routes: [{ path: /a, scopes: [a] }]
issuers:
  - { name: corp, issuer: "${from.issuer}", jwks_uri: "${from.jwksUri}", audience: api, roles: [pro, basic]${more} }
`);
}

function verifierOf(policy: () => Policy, waitMs = 30_000): IssuerVerifier {
  return createIssuerVerifier({
    policy,
    fetchText: fetchSet,
    monotonicMs: () => monotonicMs,
    waitMs,
    cacheSize: () => 10,
    onFetch: (name, error) => error && faults.push(`${name}: ${error.message}`),
  });
}

async function verify(verifier: IssuerVerifier, token: string, nowMs = Date.now()) {
  return (await verifier.of(token)?.verify(token, nowMs)) ?? "no issuer";
}

async function verdict(verifier: IssuerVerifier, token: string, nowMs = Date.now()): Promise<string> {
  const verified = await verify(verifier, token, nowMs);
  return typeof verified === "string" ? verified : verified.ok ? "valid" : verified.reason;
}

test("a token's principal has the claims of its issuer, in the issuer's own namespace", async () => {
  const policy = policyOf(", claims: { owner: org.id, name: email }");
  const token = await issuer.token({ sub: "auth0|1:2", org: { id: "o/1" }, email: "a@b.c" });
  expect(
    await verify(
      verifierOf(() => policy),
      token,
    ),
  ).toMatchObject({
    ok: true,
    principal: {
      issuer: "corp",
      keyId: "corp:t1",
      family: "corp:auth0%7C1%3A2",
      owner: "corp:o%2F1",
      role: "basic",
      scopes: ["a", "b"],
      name: "a@b.c",
    },
  });
});

describe("claims are mapped only to what the policy allows", () => {
  const planned = ", claims: { plan: tier }, plans: [team, free]";
  const nested = ", claims: { role: realm.roles, scope: scp }, role_map: { staff: pro }";
  test.each<readonly [string, string, Record<string, unknown>, object | string]>([
    ["the first role in the policy's order", "", { role: ["basic", "pro"] }, { role: "pro" }],
    ["roles with blanks between", "", { role: "x basic" }, { role: "basic" }],
    ["a role that the policy does not allow it", "", { role: "admin" }, "credential_invalid"],
    ["no role", "", { role: undefined }, "credential_invalid"],
    ["no role, where there is a default", ", default_role: basic", { role: undefined }, { role: "basic" }],
    ["a role that is no word", "", { role: 5 }, "credential_invalid"],
    ["roles as members of an object", "", { role: { basic: { org: "x" }, pro: false } }, { role: "basic" }],
    ["roles that an object denies", "", { role: { basic: false, pro: null } }, "credential_invalid"],
    [
      "a path as a list, where names have dots",
      ", claims: { role: [resource_access, api.example.com, roles] }",
      { resource_access: { "api.example.com": { roles: ["basic"] } } },
      { role: "basic" },
    ],
    [
      "a path as a JSON Pointer",
      ", claims: { role: /resource_access/api.example.com~1v1/roles }",
      { resource_access: { "api.example.com/v1": { roles: "basic" } } },
      { role: "basic" },
    ],
    [
      "scopes beyond the first 64",
      ", claims: { scope: scp }",
      { scp: [...Array.from({ length: 100 }, (_, at) => `other:${at}`), "a"] },
      { scopes: ["a"] },
    ],
    [
      "a role under a path, by another name",
      nested,
      { realm: { roles: ["staff"] } },
      { role: "pro", scopes: [] },
    ],
    [
      "a claim whose name has dots",
      ', claims: { role: "https://x.y/r" }',
      { "https://x.y/r": "pro" },
      { role: "pro" },
    ],
    [
      "scopes, as words or as a list",
      nested,
      { realm: { roles: "basic" }, scp: ["a", "z", "no scope", 5] },
      { scopes: ["a"] },
    ],
    ["a plan of its list", planned, { tier: "team" }, { plan: "team" }],
    ["the first plan in the policy's order", planned, { tier: ["free", "team"] }, { plan: "team" }],
    ["an id that is no text", "", { sub: 5 }, "credential_invalid"],
    ["an empty id", "", { sub: "" }, "credential_invalid"],
    ["a long id", "", { sub: "x".repeat(201) }, "credential_invalid"],
    ["half a character", "", { sub: "\ud800" }, "credential_invalid"],
    ["a member of every object", ", claims: { id: constructor.name }", {}, "credential_invalid"],
  ])(
    "%s: the mapped principal, or the rejection, is as the policy says",
    async (_what, more, claims, expected) => {
      const policy = policyOf(more);
      const verified = await verify(
        verifierOf(() => policy),
        await issuer.token(claims),
      );
      expect(verified).toMatchObject(
        typeof expected === "string" ? { ok: false, reason: expected } : { ok: true, principal: expected },
      );
    },
  );
});

test.each<readonly [string, string, Record<string, unknown>]>([
  ["outside its issuer's list", ", claims: { plan: tier }, plans: [team, free]", { tier: "gold" }],
  ["that is no word", ", claims: { plan: tier }, plans: [team, free]", { tier: 5 }],
  ["in a claim that the policy does not name", ", claims: { plan: tier }, plans: [team]", { plan: "team" }],
  ["of an issuer without plans", "", { plan: "team" }],
])("a plan %s counts as none", async (_what, more, claims) => {
  const policy = policyOf(more);
  const verified = await verify(
    verifierOf(() => policy),
    await issuer.token(claims),
  );
  expect(verified).toMatchObject({ ok: true, principal: { role: "basic" } });
  expect(verified).not.toHaveProperty("principal.plan");
});

describe("an issuer's token is rejected", () => {
  const nowSeconds = Math.floor(Date.now() / 1000);
  test.each<readonly [string, Record<string, unknown>, Record<string, unknown>]>([
    ["for another audience", { aud: "other" }, {}],
    ["without exp", { exp: undefined }, {}],
    ["without iat", { iat: undefined }, {}],
    ["that is not valid yet", { nbf: nowSeconds + 90 }, {}],
    ["with a lifetime of years", { exp: nowSeconds + 500 * 86_400 }, {}],
    ["whose exp is no number", { exp: "2099" }, {}],
    ["with crit", {}, { crit: ["x"], x: 1 }],
    ["with an unknown kid", {}, { kid: "none" }],
    ["without kid", {}, { kid: undefined }],
  ])("a token %s is rejected", async (_what, claims, header) => {
    const policy = policyOf();
    const token = await issuer.token(claims, header).catch(() => undefined);
    // jose does not sign some of these claims, so no such token can be sent.
    if (token !== undefined)
      expect(
        await verdict(
          verifierOf(() => policy),
          token,
        ),
      ).toBe("credential_invalid");
  });

  test("a token signed with an HMAC of the public key, with alg none, or by another issuer's key of the same kid is rejected", async () => {
    const policy = policyOf();
    const verifier = verifierOf(() => policy);
    const [, claims = ""] = (await issuer.token()).split(".");
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const published = issuer.published();
    const signed = `${part({ alg: "HS256", kid: "one" })}.${claims}`;
    const confused = `${signed}.${createHmac("sha256", published).update(signed).digest("base64url")}`;
    expect(await verdict(verifier, confused)).toBe("credential_invalid");
    expect(await verdict(verifier, `${part({ alg: "none", kid: "one" })}.${claims}.AA`)).toBe(
      "credential_invalid",
    );
    const other = await startIssuer(newJwk("ES256", "one"));
    expect(await verdict(verifier, await other.token({ iss: issuer.issuer }))).toBe("credential_invalid");
    expect(await verdict(verifier, await other.token())).toBe("no issuer");
    await other.stop();
  });

  test("an expired token is rejected with the reason key_expired", async () => {
    const policy = policyOf();
    const verifier = verifierOf(() => policy);
    const token = await issuer.token();
    expect(await verdict(verifier, token)).toBe("valid");
    const later = Date.now() + 11 * MINUTE_MS;
    expect(await verdict(verifier, token, later)).toBe("key_expired");
    expect(
      await verdict(
        verifierOf(() => policy),
        token,
        later,
      ),
    ).toBe("key_expired");
  });

  test("a token whose typ or alg differs from the policy's is rejected", async () => {
    const policy = policyOf(", typ: at+jwt, algorithms: [RS256]");
    expect(
      await verdict(
        verifierOf(() => policy),
        await issuer.token(),
      ),
    ).toBe("credential_invalid");
    issuer.rotate(newJwk("RS256", "rs"));
    const verifier = verifierOf(() => policy);
    expect(await verdict(verifier, await issuer.token())).toBe("credential_invalid");
    expect(await verdict(verifier, await issuer.token({}, { typ: "at+jwt" }))).toBe("valid");
  });

  test.each([
    ["for encryption", { ...newJwk("ES256", "k"), use: "enc" }],
    ["for another algorithm", { ...newJwk("ES256", "k"), alg: "ES384" }],
    ["with an exponent of 1", { ...newJwk("RS256", "k"), e: "AQ" }],
    ["that is short", newJwk("RS256", "k", 1024)],
  ])("a token verified by a key %s is rejected", async (_what, published) => {
    const policy = policyOf();
    const signing = { ...newJwk("ES256", "k"), kid: "k" };
    issuer.rotate(signing);
    const token = await issuer.token();
    issuer.rotate(published);
    expect(
      await verdict(
        verifierOf(() => policy),
        token,
      ),
    ).toBe("credential_invalid");
  });
});

describe("an issuer's keys", () => {
  test("a new kid triggers a fetch, and a removed key no longer verifies", async () => {
    const policy = policyOf();
    const verifier = verifierOf(() => policy);
    const old = await issuer.token();
    expect(await verdict(verifier, old)).toBe("valid");
    const next = newJwk("EdDSA", "two");
    issuer.rotate(next);
    const token = await issuer.token();
    expect(await verdict(verifier, token)).toBe("credential_invalid");
    monotonicMs += 10_000;
    expect(await verdict(verifier, token)).toBe("valid");
    expect(await verdict(verifier, old)).toBe("credential_invalid");
    expect(issuer.asked()).toBe(2);
  });

  test("a withdrawn key verifies for five more minutes, cached tokens included", async () => {
    const policy = policyOf();
    const verifier = verifierOf(() => policy);
    const old = await issuer.token();
    expect(await verdict(verifier, old)).toBe("valid");
    issuer.rotate(newJwk("ES256", "two"));
    monotonicMs += 5 * MINUTE_MS;
    expect(await verdict(verifier, old)).toBe("valid");
    monotonicMs += 1;
    expect(await verdict(verifier, old)).toBe("credential_invalid");
  });

  test("any number of tokens with unknown kids causes one fetch", async () => {
    const policy = policyOf();
    const verifier = verifierOf(() => policy);
    const garbage = await Promise.all(
      Array.from({ length: 50 }, (_, at) => issuer.token({}, { kid: `garbage ${at}` })),
    );
    const verdicts = await Promise.all(garbage.map((token) => verdict(verifier, token)));
    expect(new Set(verdicts)).toEqual(new Set(["credential_invalid"]));
    for (const token of garbage) await verdict(verifier, token);
    expect(issuer.asked()).toBe(1);
  });
});

describe("an unreliable issuer", () => {
  test.each<readonly [string, Parameters<TestedIssuer["answer"]>[0], string]>([
    ["fails", (_, response) => response.writeHead(500).end(), "it answers 500"],
    ["sends HTML", (_, response) => response.end("<html>"), "JSON"],
    ["sends another document", (_, response) => response.end('{"keys":{}}'), "keys"],
    [
      "sends an endless document",
      (_, response) => response.end(`{"x":"${"x".repeat(300_000)}"}`),
      "262144 bytes",
    ],
    ["closes the connection", (request) => request.socket.destroy(), "it does not answer"],
    [
      "redirects to another host",
      (_, response) => response.writeHead(302, { location: "http://localhost:1/keys" }).end(),
      "another place (http://localhost:1)",
    ],
    [
      "redirects in a circle",
      (_, response) => response.writeHead(302, { location: "/keys" }).end(),
      "redirects without end",
    ],
  ])(
    "an issuer that %s causes a fault and no denial; its keys are fetched again later",
    async (_what, how, why) => {
      const policy = policyOf();
      const verifier = verifierOf(() => policy);
      const token = await issuer.token();
      issuer.answer(how);
      expect(await verdict(verifier, token)).toBe("credential_unavailable");
      const asked = issuer.asked();
      expect(await verdict(verifier, token)).toBe("credential_unavailable");
      expect(issuer.asked()).toBe(asked);
      expect(faults).toEqual([expect.stringMatching(/^corp: /)]);
      expect(faults[0]).toContain(why);
      issuer.answer(undefined);
      monotonicMs += 10_000;
      expect(await verdict(verifier, token)).toBe("valid");
    },
  );

  test("a redirect within the issuer's host is followed", async () => {
    const policy = policyOf();
    const token = await issuer.token();
    issuer.answer((request, response) => {
      if (request.url === "/keys") response.writeHead(307, { location: "/other" }).end();
      else response.end(issuer.published());
    });
    expect(
      await verdict(
        verifierOf(() => policy),
        token,
      ),
    ).toBe("valid");
    expect(issuer.asked()).toBe(2);
  });

  test("a slow issuer delays a Check only briefly, and its response serves later Checks", async () => {
    const policy = policyOf();
    const verifier = verifierOf(() => policy, 20);
    const token = await issuer.token();
    const asked = Promise.withResolvers<ServerResponse>();
    issuer.answer((_, response) => asked.resolve(response));
    expect(await verdict(verifier, token)).toBe("credential_unavailable");
    (await asked.promise).end(issuer.published());
    await expect.poll(() => verdict(verifier, token)).toBe("valid");
    expect(issuer.asked()).toBe(1);
  });

  test("the keys of an unavailable issuer remain valid for an hour, and other issuers are not affected", async () => {
    const other = await startIssuer();
    const policy = policyOf(
      `}\n  - { name: other, issuer: "${other.issuer}", jwks_uri: "${other.jwksUri}", audience: api, roles: [basic]`,
    );
    const verifier = verifierOf(() => policy);
    const [token, others] = [await issuer.token(), await other.token()];
    expect([await verdict(verifier, token), await verdict(verifier, others)]).toEqual(["valid", "valid"]);
    issuer.answer((request) => request.socket.destroy());
    monotonicMs += 60 * MINUTE_MS;
    expect([await verdict(verifier, token), await verdict(verifier, others)]).toEqual(["valid", "valid"]);
    // The current keys are unknown, so an unknown kid cannot be judged.
    expect(await verdict(verifier, await issuer.token({}, { kid: "new" }))).toBe("credential_unavailable");
    monotonicMs += 1;
    expect([await verdict(verifier, token), await verdict(verifier, others)]).toEqual([
      "credential_unavailable",
      "valid",
    ]);
    await other.stop();
  });
});

test("a new policy applies at once, to cached tokens too, and does not fetch the keys again", async () => {
  let policy = policyOf();
  const verifier = verifierOf(() => policy);
  const token = await issuer.token();
  expect(await verify(verifier, token)).toMatchObject({ principal: { role: "basic" } });
  policy = policyOf(", role_map: { basic: pro }");
  expect(await verify(verifier, token)).toMatchObject({ principal: { role: "pro" } });
  policy = { ...policyOf(), issuers: [] };
  expect(await verify(verifier, token)).toBe("no issuer");
  expect(issuer.asked()).toBe(1);
});
