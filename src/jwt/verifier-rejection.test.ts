import { expect, test } from "vitest";
import { jwkSet, newJwk } from "../../test/support/jwk.ts";
import { KEY, NOW } from "../../test/support/scripted-registry.ts";
import { joinKeys } from "./key-ring.ts";
import { parseKeySet } from "./key-set.ts";
import { createSigner } from "./signer.ts";
import { MAX_TOKEN_BYTES } from "./token-form.ts";
import { createVerifier } from "./verifier.ts";

const names = { issuer: "blyan-api", audience: "latchkey" };
const [own, foreign] = await Promise.all(
  ["own", "foreign"].map(async (kid) => {
    const parsed = await parseKeySet(jwkSet(newJwk("ES256", kid)), () => undefined);
    return parsed.ok ? joinKeys(parsed.keys) : expect.unreachable();
  }),
);
if (own === undefined || foreign === undefined) throw new Error("two rings");

const token = await createSigner(() => own, names).sign(KEY);
const [header = "", claims = "", signature = ""] = token.split(".");
const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

const verify = async (text: string, nowSeconds = NOW) =>
  createVerifier({ ...names, ring: () => own, cacheSize: 1 }).verify(text, nowSeconds * 1000);

test.each<readonly [cause: string, what: string, text: string]>([
  ["token_malformed", "two segments", `${header}.${claims}`],
  ["token_malformed", "the longest text", "a".repeat(MAX_TOKEN_BYTES)],
  ["token_too_long", "a longer text", "a".repeat(MAX_TOKEN_BYTES + 1)],
  [
    "header_not_accepted",
    "our issuer and another header",
    `${encode({ alg: "none" })}.${claims}.${signature}`,
  ],
  [
    "issuer_unknown",
    "another issuer and another header",
    `${encode({ alg: "none" })}.${encode({})}.${signature}`,
  ],
  [
    "issuer_unknown",
    "our header and another issuer",
    `${encodeKid("x")}.${encode({ iss: "x" })}.${signature}`,
  ],
  ["issuer_unknown", "claims that are no object", `${encodeKid("x")}.${encode([])}.${signature}`],
  ["key_unknown", "an unknown kid", await createSigner(() => foreign, names).sign(KEY)],
  ["signature_wrong", "another signature", `${header}.${encode({ iss: names.issuer })}.${signature}`],
  [
    "audience_wrong",
    "another audience",
    await createSigner(() => own, { ...names, audience: "x" }).sign(KEY),
  ],
])("the cause is %s for %s", async (cause, _what, text) => {
  expect(await verify(text)).toEqual({ ok: false, reason: "credential_invalid", rejection: { cause } });
});

test("a token of a key pair is valid until it expires, and its holder learns that", async () => {
  expect(await verify(token)).toMatchObject({ ok: true, principal: { keyId: KEY.keyId } });
  for (const nowSeconds of [KEY.expiresAt, KEY.expiresAt + 1000])
    expect(await verify(token, nowSeconds)).toMatchObject({
      ok: false,
      reason: "key_expired",
      principal: { keyId: KEY.keyId },
    });
});

function encodeKid(kid: string): string {
  return encode({ typ: "JWT", alg: "ES256", kid });
}
