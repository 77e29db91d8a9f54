import { describe, expect, test } from "vitest";
import { TOKEN_REJECTIONS } from "../../src/core/decision/token-rejection.ts";
import { createIssuerVerifier } from "../../src/jwt/issuer-verifier.ts";
import { readDocument } from "../support/documents.ts";
import { documentedBlock, IDENTITY_PROVIDERS } from "../support/identity-providers.ts";
import { parsedPolicy } from "../support/parsed-policy.ts";

const text = readDocument("docs/guides/identity-providers.md");

/** The provider's block of docs/guides/identity-providers.md, parsed as a policy of its own. */
function entryOf(name: string) {
  const policy = parsedPolicy(documentedBlock(name));
  const [issuer] = policy.issuers;
  if (issuer === undefined) throw new Error(`${name} has no issuer`);
  return { policy, issuer };
}

describe.each(IDENTITY_PROVIDERS)("the block for $name", ({ name, published, token, expected }) => {
  const { policy, issuer } = entryOf(name);
  const verifier = createIssuerVerifier({
    policy: () => policy,
    fetchText: async (uri) => {
      expect(uri).toBe(issuer.jwksUri);
      return published;
    },
    monotonicMs: () => 0,
    waitMs: 10_000,
    cacheSize: () => 10,
    onFetch: (_, error) => expect(error).toBeUndefined(),
  });
  const verify = async (changes: Readonly<Record<string, unknown>> = {}, nowMs = Date.now()) => {
    const presented = await token(issuer, changes);
    return verifier.of(presented)?.verify(presented, nowMs);
  };

  test("accepts a token of its form, for the party and the role that it names", async () => {
    expect(await verify()).toMatchObject({ ok: true, principal: { ...expected, issuer: issuer.name } });
  });

  test("accepts a token from a clock that differs by a minute, before and after", async () => {
    const now = Math.floor(Date.now() / 1000);
    const verifyNow = (changes: Readonly<Record<string, number>>) => verify(changes, now * 1000);
    expect(await verifyNow({ iat: now + 59, nbf: now + 59 })).toMatchObject({ ok: true });
    expect(await verifyNow({ exp: now - 59, iat: now - 999 })).toMatchObject({ ok: true });
    expect(await verifyNow({ exp: now - 61, iat: now - 999 })).toMatchObject({ reason: "key_expired" });
  });

  test("rejects a token for another audience, and reports the cause to operators", async () => {
    const rejection = { cause: "audience_wrong", issuer: issuer.name };
    expect(await verify({ aud: "another" })).toMatchObject({ reason: "credential_invalid", rejection });
  });

  test("accepts a token with 300 groups", async () => {
    const groups = Array.from({ length: 300 }, (_, at) => `a group with a name ${at}`);
    expect(await verify({ wids: groups })).toMatchObject({ ok: true });
  });
});

test("the document lists every cause of a rejection, with the text of the code, and no other", () => {
  const rows = [...text.matchAll(/^\| `(\w+)` \| ([^|]+) \|/gm)].map(([, cause, message]) => [
    cause,
    message,
  ]);
  expect(rows).toEqual(Object.entries(TOKEN_REJECTIONS));
});
