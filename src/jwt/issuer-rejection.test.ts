import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TestedIssuer } from "../../test/support/issuer.ts";
import { startIssuer } from "../../test/support/issuer.ts";
import { newJwk } from "../../test/support/jwk.ts";
import { parsedPolicy } from "../../test/support/parsed-policy.ts";
import { fetchSet } from "./fetch-set.ts";
import { createIssuerVerifier } from "./issuer-verifier.ts";

let issuer: TestedIssuer;
let monotonicMs: number;
let faults: Error[];
/** The issuer's name, once for each fetch of its keys. */
let fetched: string[];

beforeEach(async () => {
  [monotonicMs, faults, fetched] = [0, [], []];
  issuer = await startIssuer();
});
afterEach(() => issuer.stop());

function verifierOf(more = "") {
  const policy = parsedPolicy(`
roles: { basic: { scopes: [a], ttl: 1d, refresh_window: 1h } }
routes: [{ path: /a, scopes: [a] }]
issuers:
  - { name: corp, issuer: "${issuer.issuer}", jwks_uri: "${issuer.jwksUri}", audience: api, roles: [basic]${more} }
`);
  return createIssuerVerifier({
    policy: () => policy,
    fetchText: fetchSet,
    monotonicMs: () => monotonicMs,
    waitMs: 30_000,
    cacheSize: () => 10,
    onFetch(name, error) {
      fetched.push(name);
      if (error !== undefined) faults.push(error);
    },
  });
}

/** `valid`, or the reason and the cause that operators see. */
async function verdict(verifier: ReturnType<typeof verifierOf>, token: string): Promise<string> {
  const verified = await verifier.of(token)?.verify(token, Date.now());
  if (verified === undefined) return "of no issuer";
  if (verified.ok) return "valid";
  return "rejection" in verified ? `${verified.reason} ${verified.rejection?.cause}` : verified.reason;
}

const nowSeconds = Math.floor(Date.now() / 1000);

describe("operators learn the cause of a rejection", () => {
  test.each<readonly [string, string, Record<string, unknown>, Record<string, unknown>]>([
    ["header_not_accepted", "", {}, { kid: undefined }],
    ["algorithm_not_allowed", ", algorithms: [RS256]", {}, {}],
    ["key_unknown", "", {}, { kid: "another" }],
    ["type_wrong", ", typ: at+jwt", {}, { typ: "JWT" }],
    ["audience_wrong", "", { aud: "another" }, {}],
    ["not_yet_valid", "", { nbf: nowSeconds + 90 }, {}],
    ["times_not_accepted", "", { exp: undefined }, {}],
    ["times_not_accepted", "", { nbf: "soon" }, {}],
    ["times_not_accepted", "", { iat: nowSeconds + 700 }, {}],
    ["times_not_accepted", "", { exp: nowSeconds + 500 * 86_400 }, {}],
    ["id_not_accepted", ", claims: { id: oid }", {}, {}],
    ["owner_not_accepted", ", claims: { owner: org }", {}, {}],
    ["role_missing", "", { role: "admin" }, {}],
    ["token_too_long", "", { groups: "x".repeat(16_384) }, {}],
  ])("the cause is reported as %s%s", async (cause, more, claims, header) => {
    expect(await verdict(verifierOf(more), await issuer.token(claims, header))).toBe(
      `credential_invalid ${cause}`,
    );
  });

  test("the causes signature_wrong, token_malformed and keys_unavailable are reported", async () => {
    const [head, claims, signature = ""] = (await issuer.token()).split(".");
    const another = `${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`;
    const verifier = verifierOf();
    expect(await verdict(verifier, `${head}.${claims}.${another}`)).toBe(
      "credential_invalid signature_wrong",
    );
    expect(await verdict(verifier, `${head}=.${claims}.${signature}`)).toBe(
      "credential_invalid token_malformed",
    );
    issuer.answer((_, response) => response.writeHead(500).end());
    expect(await verdict(verifierOf(), await issuer.token())).toBe("credential_unavailable keys_unavailable");
  });
});

describe("several keys with one kid", () => {
  test.each<readonly [string, (signing: ReturnType<typeof newJwk>) => object[]]>([
    ["though another one is for encryption", (key) => [key, { ...key, use: "enc", alg: "RSA-OAEP" }]],
    ["though one is for encryption by its key_ops", (key) => [{ ...key, key_ops: ["encrypt"] }, key]],
    ["though one is for another algorithm", (key) => [key, { ...key, alg: "PS256" }]],
    ["though another one is of another type", (key) => [key, newJwk("ES256", key.kid)]],
    ["though another one of the same type comes first", (key) => [newJwk("RS256", key.kid), key]],
    ["though another one is no key at all", (key) => [key, { kid: key.kid, kty: "RSA", n: 5, e: [] }]],
    [
      "whatever their order",
      (key) => [{ ...key, use: "enc", alg: "RSA-OAEP" }, newJwk("ES256", key.kid), key],
    ],
  ])("a token is verified by the matching key of its kid, %s", async (_what, published) => {
    const signing = newJwk("RS256", "same");
    issuer.rotate(signing);
    const token = await issuer.token();
    issuer.rotate(...published(signing).map((key) => ({ kid: "same", ...key })));
    expect(await verdict(verifierOf(), token)).toBe("valid");
    expect(faults).toEqual([]);
  });

  test("without a matching key the issuer's keys are fetched again, at most every ten seconds", async () => {
    const signing = newJwk("RS256", "same");
    issuer.rotate(signing);
    const token = await issuer.token();
    issuer.rotate({ ...signing, use: "enc" });
    const verifier = verifierOf();
    expect(await verdict(verifier, token)).toBe("credential_invalid key_unsuitable");
    expect(await verdict(verifier, token)).toBe("credential_invalid key_unsuitable");
    expect(issuer.asked()).toBe(1);
    issuer.rotate({ ...signing, use: "enc" }, signing);
    monotonicMs += 10_000;
    expect(await verdict(verifier, token)).toBe("valid");
  });
});

test.each([
  ["key", "EdDSA", "Ed25519"],
  ["token", "Ed25519", "EdDSA"],
  ["key and token", "Ed25519", "Ed25519"],
])("Ed25519 in a %s means EdDSA with an Ed25519 key (RFC 9864)", async (_where, header, published) => {
  const key = newJwk("EdDSA", "k");
  issuer.rotate(key);
  const token = await issuer.token({}, { alg: header });
  issuer.rotate({ ...key, alg: published });
  expect(await verdict(verifierOf(), token)).toBe("valid");
});

test("a key whose alg has an RFC 9864 name verifies tokens whose alg has the RFC 7518 name", async () => {
  const key = newJwk("ES256", "k");
  issuer.rotate(key);
  const token = await issuer.token();
  issuer.rotate({ ...key, alg: "ESP256" });
  expect(await verdict(verifierOf(), token)).toBe("valid");
});

test("a byte order mark before a key set is ignored", async () => {
  issuer.answer((_, response) => response.end(`\ufeff${issuer.published()}`));
  expect(await verdict(verifierOf(), await issuer.token())).toBe("valid");
});

test("a key set that is not UTF-8 is reported as a fault", async () => {
  issuer.answer((_, response) => response.end(Buffer.from(`{"keys":[],"x":"\xe9"}`, "latin1")));
  expect(await verdict(verifierOf(), await issuer.token())).toBe("credential_unavailable keys_unavailable");
  expect(faults.map(({ message }) => message)).toEqual(["it is no UTF-8 text"]);
});

describe("max_token_bytes", () => {
  const claims = { groups: Array.from({ length: 300 }, (_, at) => `a group with a long name, number ${at}`) };

  test("max_token_bytes is 16 KiB by default, enough for 300 groups", async () => {
    const token = await issuer.token(claims);
    expect(token.length).toBeGreaterThan(10_573);
    expect(await verdict(verifierOf(), token)).toBe("valid");
    expect(await verdict(verifierOf(", max_token_bytes: 8192"), token)).toBe(
      "credential_invalid token_too_long",
    );
  });

  test("max_token_bytes can be raised to 48 KiB", async () => {
    const token = await issuer.token({ groups: "x".repeat(36_000) });
    expect(await verdict(verifierOf(", max_token_bytes: 49152"), token)).toBe("valid");
    expect(await verdict(verifierOf(), token)).toBe("credential_invalid token_too_long");
  });
});

describe("clock_skew", () => {
  const soon = { iat: nowSeconds + 30, nbf: nowSeconds + 30 };
  const late = { iat: nowSeconds - 900, exp: nowSeconds - 30 };

  test("clock_skew is one minute by default", async () => {
    expect(await verdict(verifierOf(), await issuer.token(soon))).toBe("valid");
    expect(await verdict(verifierOf(), await issuer.token(late))).toBe("valid");
  });

  test("clock_skew can be zero", async () => {
    const strict = verifierOf(", clock_skew: 0s");
    expect(await verdict(strict, await issuer.token(soon))).toBe("credential_invalid not_yet_valid");
    expect(await verdict(strict, await issuer.token(late))).toBe("key_expired");
  });

  test("a cached token expires clock_skew seconds after its exp", async () => {
    const verifier = verifierOf();
    const token = await issuer.token({ exp: nowSeconds + 600 });
    const at = async (seconds: number) => verifier.of(token)?.verify(token, (nowSeconds + seconds) * 1000);
    expect(await at(0)).toMatchObject({ ok: true });
    expect(await at(659)).toMatchObject({ ok: true });
    expect(await at(660)).toMatchObject({ reason: "key_expired" });
  });
});

test("a token whose iat is further ahead than clock_skew is accepted, and every cut-off revokes it", async () => {
  const issuedAt = async (iat: number) => {
    const token = await issuer.token({ iat, exp: nowSeconds + 7200 });
    const verified = await verifierOf()
      .of(token)
      ?.verify(token, nowSeconds * 1000);
    return verified?.ok === true ? verified.principal.issuedAt : verified;
  };
  expect(await issuedAt(nowSeconds + 10)).toBe(nowSeconds + 10);
  expect(await issuedAt(nowSeconds + 3600)).toBe(0);
});

test("issuers that share a jwks_uri share one fetch, and each is notified", async () => {
  const other = `}\n  - { name: other, issuer: other, jwks_uri: "${issuer.jwksUri}", audience: api, roles: [basic]`;
  const verifier = verifierOf(other);
  expect(await verdict(verifier, await issuer.token())).toBe("valid");
  expect(await verdict(verifier, await issuer.token({ iss: "other" }))).toBe("valid");
  expect([issuer.asked(), fetched]).toEqual([1, ["corp", "other"]]);
});
