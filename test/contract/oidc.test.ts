import type { IncomingMessage, ServerResponse } from "node:http";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { IdentityProvider, PendingSignIn } from "../../src/core/sign-in/ports.ts";
import { createIdentityProvider } from "../../src/oidc/identity-provider.ts";
import type { TestedProvider } from "../support/oidc.ts";
import { CLIENT, signInAt, startProvider } from "../support/oidc.ts";

const REDIRECT = "http://127.0.0.1/console/oidc/callback";

let real: TestedProvider;
let provider: IdentityProvider;
let results: (string | undefined)[];
let nowMs: number;

beforeEach(async () => {
  real = await startProvider([REDIRECT]);
  real.person = { sub: "ann", groups: ["ops"], email: "ann@example.com", email_verified: true };
  [results, nowMs] = [[], 1_000_000];
  provider = connect();
});

afterEach(() => real.stop());

function connect(
  changes: { readonly clientSecret?: string; readonly issuer?: string } = {},
): IdentityProvider {
  return createIdentityProvider({
    ...{ issuer: real.issuer, clientId: CLIENT.id, clientSecret: CLIENT.secret },
    scope: "openid email profile",
    monotonicMs: () => nowMs,
    onResult: (error) => void results.push(error?.message),
    ...changes,
  });
}

async function begin(at = provider) {
  const begun = await at.begin(REDIRECT);
  if (!begun.ok) throw new Error(begun.failure);
  return begun;
}

function complete(
  callback: URL,
  pending: PendingSignIn,
  suffices: (claims: unknown) => boolean = () => true,
) {
  return provider.complete(callback, pending, suffices);
}

const json = (response: ServerResponse, body: unknown, status = 200) =>
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));

describe("the sign-out at the provider", () => {
  const BACK = "http://127.0.0.1/console";

  test("is at the provider's page, which returns to ours, and its URL has no token", async () => {
    const url = new URL((await provider.signOutUrl(BACK)) ?? "");
    expect(url.origin + url.pathname).toBe(`${real.issuer}/session/end`);
    expect(Object.fromEntries(url.searchParams)).toEqual({
      client_id: CLIENT.id,
      post_logout_redirect_uri: BACK,
    });
    expect((await fetch(url)).status).toBe(200);
    // The provider returns to registered pages only.
    url.searchParams.set("post_logout_redirect_uri", "http://127.0.0.1/other");
    expect((await fetch(url)).status).toBe(400);
  });

  test.each([
    ["publishes none", undefined],
    ["publishes a script", "javascript:alert(1)"],
    ["publishes no URL", "/session/end"],
  ])("is not offered if the provider %s", async (_, endpoint) => {
    const published = await fetch(`${real.issuer}/.well-known/openid-configuration`);
    const metadata: Readonly<Record<string, unknown>> = JSON.parse(await published.text());
    real.intercept = (_request, response) =>
      Boolean(json(response, { ...metadata, end_session_endpoint: endpoint }));
    expect(await provider.signOutUrl(BACK)).toBeUndefined();
  });

  test("is not offered if the provider does not respond", async () => {
    await real.stop();
    expect(await provider.signOutUrl(BACK)).toBeUndefined();
    expect(results.at(-1)).toBeDefined();
  });
});

test("a person signs in with code, PKCE, state and nonce, and the verified claims come back", async () => {
  const { url, pending } = await begin();
  const asked = new URL(url).searchParams;
  expect(Object.fromEntries(asked)).toMatchObject({
    response_type: "code",
    client_id: CLIENT.id,
    redirect_uri: REDIRECT,
    code_challenge_method: "S256",
    state: pending.state,
    nonce: pending.nonce,
  });
  expect(url).not.toContain(pending.verifier);
  const done = await complete(await signInAt(real, url), pending);
  expect(done).toMatchObject({ ok: true, claims: { sub: "ann", groups: ["ops"], email: "ann@example.com" } });
  expect(results).toEqual([undefined]);
});

test("claims that the ID token lacks come from UserInfo, if the policy needs them", async () => {
  await real.stop();
  real = await startProvider([REDIRECT], { claimsInIdToken: false });
  real.person = { sub: "ann", groups: ["ops"] };
  provider = connect();
  const first = await begin();
  const enough = await complete(await signInAt(real, first.url), first.pending);
  expect(enough).not.toHaveProperty("claims.groups");
  const second = await begin();
  const more = await complete(await signInAt(real, second.url), second.pending, () => false);
  expect(more).toMatchObject({ claims: { sub: "ann", groups: ["ops"] } });
});

describe("a callback is not accepted", () => {
  const cases: readonly (readonly [
    what: string,
    change: (callback: URL, pending: PendingSignIn) => unknown,
    failure?: string,
  ])[] = [
    ["with another state", (callback) => callback.searchParams.set("state", "x".repeat(43))],
    ["without a state", (callback) => callback.searchParams.delete("state")],
    ["with two states", (callback) => callback.searchParams.append("state", "y")],
    ["without a code", (callback) => callback.searchParams.delete("code")],
    ["with two codes", (callback) => callback.searchParams.append("code", "y")],
    ["with an invented code", (callback) => callback.searchParams.set("code", "invented")],
    [
      "of another issuer (mix-up, RFC 9207)",
      (callback) => callback.searchParams.set("iss", "https://evil.example"),
    ],
    ["without the issuer that the provider promises", (callback) => callback.searchParams.delete("iss")],
    ["with another nonce", (_, pending) => Object.assign(pending, { nonce: "other" })],
    ["with another PKCE verifier", (_, pending) => Object.assign(pending, { verifier: "v".repeat(43) })],
    [
      "that says that the person declined",
      (callback) => {
        callback.searchParams.delete("code");
        callback.searchParams.set("error", "access_denied");
      },
      "sign_in_denied",
    ],
  ];
  test.for(cases)("%s", async ([, change, failure = "sign_in_failed"]) => {
    const { url, pending } = await begin();
    const callback = await signInAt(real, url);
    change(callback, pending);
    expect(await complete(callback, pending)).toEqual({ ok: false, failure });
    // A caller's invention is no outage of the provider.
    expect(results).toEqual([undefined]);
  });

  test("twice", async () => {
    const { url, pending } = await begin();
    const callback = await signInAt(real, url);
    expect(await complete(callback, pending)).toMatchObject({ ok: true });
    expect(await complete(callback, pending)).toEqual({ ok: false, failure: "sign_in_failed" });
  });

  test("of another person's sign-in", async () => {
    const [mine, theirs] = [await begin(), await begin()];
    const callback = await signInAt(real, theirs.url);
    expect(await complete(callback, mine.pending)).toEqual({ ok: false, failure: "sign_in_failed" });
  });
});

describe("an ID token is not accepted", () => {
  const now = () => Math.floor(Date.now() / 1000);
  const cases: readonly (readonly [what: string, claims: () => object, header?: object])[] = [
    ["of another issuer", () => ({ iss: "https://evil.example" })],
    ["for another client", () => ({ aud: "another-client" })],
    ["for several clients without azp", () => ({ aud: [CLIENT.id, "another-client"] })],
    ["after its end", () => ({ iat: now() - 600, exp: now() - 120 })],
    ["from the future", () => ({ iat: now() + 600, nbf: now() + 600 })],
    ["without a nonce", () => ({ nonce: undefined })],
    ["without a subject", () => ({ sub: undefined })],
    ["of an unknown key", () => ({}), { kid: "unknown" }],
    ["of a key that the provider did not publish", () => ({}), { foreign: true }],
    ["without a signature", () => ({}), { none: true }],
  ];
  test.for(cases)("%s", async ([, claims, header = {}]) => {
    const answer = await forgingTokens(claims, header);
    const { url, pending } = await begin();
    const callback = await signInAt(real, url);
    real.intercept = (request, response) => answer(request, response, pending.nonce);
    const done = await complete(callback, pending);
    expect(done.ok).toBe(false);
  });

  test("and the same token without a fault is accepted", async () => {
    const answer = await forgingTokens(() => ({}), {});
    const { url, pending } = await begin();
    const callback = await signInAt(real, url);
    real.intercept = (request, response) => answer(request, response, pending.nonce);
    expect(await complete(callback, pending)).toMatchObject({ ok: true, claims: { sub: "mallory" } });
  });

  /** Replaces the token endpoint and the keys. */
  async function forgingTokens(claims: () => object, header: { foreign?: true; none?: true; kid?: string }) {
    const [known, foreign] = [await generateKeyPair("RS256"), await generateKeyPair("RS256")];
    const jwk = { ...(await exportJWK(known.publicKey)), kid: "known", alg: "RS256", use: "sig" };
    const sign = (nonce: string) => {
      const payload = {
        iss: real.issuer,
        aud: CLIENT.id,
        sub: "mallory",
        iat: now(),
        exp: now() + 60,
        nonce,
        ...claims(),
      };
      if (header.none) {
        const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
        return `${part({ alg: "none" })}.${part(payload)}.`;
      }
      return new SignJWT(payload)
        .setProtectedHeader({ alg: "RS256", kid: header.kid ?? "known" })
        .sign(header.foreign ? foreign.privateKey : known.privateKey);
    };
    return (request: IncomingMessage, response: ServerResponse, nonce: string) => {
      if (request.url === "/jwks") json(response, { keys: [jwk] });
      else if (request.url === "/token")
        Promise.resolve(sign(nonce)).then((id_token) =>
          json(response, { access_token: "a", token_type: "Bearer", id_token }),
        );
      else return false;
      return true;
    };
  }
});

describe("a provider that does not work", () => {
  test("is asked again after a pause, and never more often, however many people want to sign in", async () => {
    real.intercept = (_, response) => Boolean(json(response, {}, 500));
    for (let call = 0; call < 5; call++)
      expect(await provider.begin(REDIRECT)).toEqual({ ok: false, failure: "provider_unavailable" });
    expect(real.calls).toHaveLength(1);
    real.intercept = undefined;
    nowMs += 5000;
    expect(await provider.begin(REDIRECT)).toMatchObject({ ok: true });
    expect(results.at(-1)).toBeUndefined();
  });

  test("keeps its last metadata in use", async () => {
    await begin();
    real.intercept = (_, response) => Boolean(json(response, {}, 500));
    nowMs += 3_600_001;
    await begin();
    await expect.poll(() => results.at(-1)).toContain("unexpected HTTP response status code");
    expect(await provider.begin(REDIRECT)).toMatchObject({ ok: true });
  });

  const broken: readonly (readonly [what: string, answer: (response: ServerResponse) => unknown])[] = [
    [
      "metadata of another issuer",
      (response) => json(response, metadata({ issuer: "https://evil.example" })),
    ],
    [
      "metadata for any tenant",
      (response) => json(response, metadata({ issuer: `${real.issuer}/{tenantid}` })),
    ],
    ["a page", (response) => response.writeHead(200, { "content-type": "text/html" }).end("<html>")],
    ["a redirect", (response) => response.writeHead(302, { location: "https://evil.example" }).end()],
    ["no JSON", (response) => response.writeHead(200, { "content-type": "application/json" }).end("{")],
    ["more than a megabyte", (response) => json(response, metadata({ padding: "x".repeat(2 ** 20) }))],
    ["a closed connection", (response) => response.destroy()],
  ];
  test.for(broken)("responds with %s: no one signs in, and the log gets a sentence", async ([, answer]) => {
    real.intercept = (_request, response) => Boolean(answer(response) ?? true) || true;
    expect(await provider.begin(REDIRECT)).toEqual({ ok: false, failure: "provider_unavailable" });
    expect(results).toEqual([expect.stringMatching(/^[^{}]{5,200}$/)]);
  });

  function metadata(changes: object) {
    const endpoint = (name: string) => `${real.issuer}/${name}`;
    return {
      ...{ issuer: real.issuer, authorization_endpoint: endpoint("auth"), token_endpoint: endpoint("token") },
      ...{ jwks_uri: endpoint("jwks"), ...changes },
    };
  }

  test("rejects our client: the log says so, and quotes no secret", async () => {
    provider = connect({ clientSecret: "wrong" });
    const { url, pending } = await begin();
    const done = await complete(await signInAt(real, url), pending);
    expect(done).toEqual({ ok: false, failure: "provider_unavailable" });
    expect(results).toEqual([
      undefined,
      "the provider responds 401: it does not accept OIDC_CLIENT_ID with its secret",
    ]);
  });

  test("that is down does not delay or end anything but the sign-in", async () => {
    await real.stop();
    expect(await connect().begin(REDIRECT)).toEqual({ ok: false, failure: "provider_unavailable" });
  });
});
