import { expect, test } from "vitest";
import { jwkSet } from "../../test/support/jwk.ts";
import { parseKeySet } from "./key-set.ts";
import { newJwk } from "./new-key.ts";

test.each([
  ["HS256", "k", 256],
  ["ES256", "x", 256],
  ["EdDSA", "x", 256],
  ["RS256", "n", 3072],
] as const)("a new key for %s signs in a key set, and its %s has %d bits", async (alg, member, bits) => {
  const jwk = newJwk(alg, "one");
  expect(jwk).toMatchObject({ kid: "one", alg, use: "sig" });
  expect(Buffer.from(String(jwk[member]), "base64url").length * 8).toBe(bits);
  const parsed = await parseKeySet(jwkSet({ ...jwk, kid: "one" }), () => undefined);
  expect(parsed).toMatchObject({ ok: true, keys: [{ signing: { kid: "one", alg } }] });
});
