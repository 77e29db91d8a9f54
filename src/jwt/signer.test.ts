import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { MAX_KEY_NETS } from "../core/keys/key-binding.ts";
import type { KeyRecord } from "../core/keys/key-record.ts";
import { MAX_ROLE_SCOPE_CHARACTERS } from "../core/policy/scopes.ts";
import { hs256Key, joinKeys } from "./key-ring.ts";
import { createSigner } from "./signer.ts";
import { MAX_TOKEN_BYTES } from "./token-form.ts";
import { createVerifier } from "./verifier.ts";

/** Of RS256 with 8192 bits, the largest key that signs; HS256 has 43. */
const LONGEST_SIGNATURE = Math.ceil((8192 / 8) * (4 / 3));

/** Scopes of at most 64 characters that have this length together, with a space between two. */
function scopesOf(length: number): readonly string[] {
  return Array.from({ length: Math.ceil(length / 65) }, (_, at) =>
    "s".repeat(Math.min(64, length - at * 65)),
  );
}

/** A record whose members are as long as registration and policy permit. */
const LONGEST: KeyRecord = {
  keyId: `${"r".repeat(64)}_1800000000_${"k".repeat(22)}`,
  family: `${"r".repeat(64)}_1800000000_${"f".repeat(22)}`,
  familyStartedAt: 1_800_000_000,
  role: "r".repeat(64),
  plan: "p".repeat(64),
  owner: "o".repeat(128),
  scopes: scopesOf(MAX_ROLE_SCOPE_CHARACTERS),
  name: "🔑".repeat(128),
  issuedAt: 1_800_000_000,
  expiresAt: 1_834_560_000,
  refreshAfter: 1_834_500_000,
  nets: Array.from(
    { length: MAX_KEY_NETS },
    (_, at) => `${at + 1}001:1001:1001:1001:1001:1001:1001:1001/128`,
  ),
  certificate: "A".repeat(43),
  selfService: false,
  disabled: false,
  version: 1,
};

test("the longest key that may be registered is accepted, whatever the algorithm", async () => {
  const names = { issuer: '"'.repeat(200), audience: "\\".repeat(200) };
  const ring = joinKeys([await hs256Key("k".repeat(64), randomBytes(32))]);
  const token = await createSigner(() => ring, names).sign(LONGEST);
  const verifier = createVerifier({ ...names, ring: () => ring, cacheSize: 1 });
  expect(await verifier.verify(token, LONGEST.issuedAt * 1000)).toMatchObject({ ok: true });
  const longest = token.length - 43 + LONGEST_SIGNATURE;
  expect(longest).toBeLessThanOrEqual(MAX_TOKEN_BYTES);
});
