import { createHmac, createSecretKey, randomBytes } from "node:crypto";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { verifyWithJose } from "../../test/support/jose-verifier.ts";
import type { Verification } from "../core/decision/ports.ts";
import type { KeyRing } from "./key-ring.ts";
import { joinKeys, secretKey } from "./key-ring.ts";
import { parseKeySet } from "./key-set.ts";
import { newJwk } from "./new-key.ts";
import { canonicalSegments } from "./token-form.ts";
import { createVerifier } from "./verifier.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const NOW = 1_800_000_000;
const [SECRET, PREVIOUS, OTHER] = ["first", "previous", "other"].map(
  (name) => `${name} ${randomBytes(32).toString("hex")}`,
);
const names = { issuer: "blyan-api", audience: "latchkey" };
let ring: KeyRing;
let kids: readonly [current: string, previous: string, asymmetric: string];

beforeAll(async () => {
  const set = await parseKeySet(JSON.stringify({ keys: [newJwk("ES256", "es")] }), () => undefined);
  if (!set.ok) throw new Error(set.problems.join());
  ring = joinKeys([await secretKey(SECRET ?? ""), await secretKey(PREVIOUS ?? ""), ...set.keys]);
  kids = [ring.kids[0] ?? "", ring.kids[1] ?? "", "es"];
});

const validClaims = {
  iss: names.issuer,
  aud: names.audience,
  sub: "fam_abcdefghijklmnopqrstuv",
  name: "Zoë???",
  own: "acme",
  jti: "basic_1800000000_abcdefghijklmnopqrstuv",
  fam: "fam_abcdefghijklmnopqrstuv",
  role: "basic",
  scope: "chat:read chat:write",
  iat: NOW,
  nbf: NOW,
  exp: NOW + 1000,
  refresh_after: NOW + 500,
  nets: ["192.0.2.0/24"],
  cnf: { "x5t#S256": "A".repeat(43) },
};
const claimNames = Object.keys(validClaims);
const validHeader = () => ({ typ: "JWT", alg: "HS256", kid: kids[0] });

/** A signed part: text, bytes, or a value for JSON. */
type Part = unknown;
type Sign = (signed: string) => Buffer;

interface Sample {
  readonly header: () => Part;
  readonly payload: Part;
  readonly sign: Sign;
  /** Changes the finished token. */
  readonly alter: (token: string) => string;
  readonly nowMs: number;
}

const mac =
  (secret: string | undefined, hash = "sha256"): Sign =>
  (signed) =>
    createHmac(hash, createSecretKey(Buffer.from(secret ?? "")))
      .update(signed)
      .digest();

const valid: Sample = {
  header: validHeader,
  payload: validClaims,
  sign: mac(SECRET),
  alter: (token) => token,
  nowMs: NOW * 1000,
};

function bytesOf(part: Part): Buffer {
  if (Buffer.isBuffer(part)) return part;
  return Buffer.from(typeof part === "string" ? part : JSON.stringify(part));
}

function tokenOf({ header, payload, sign, alter }: Sample): string {
  const signed = `${bytesOf(header()).toString("base64url")}.${bytesOf(payload).toString("base64url")}`;
  return alter(`${signed}.${sign(signed).toString("base64url")}`);
}

/** Without the bias of fast-check towards the first and the last positions. */
const position = fc.noBias(fc.nat({ max: 99_999 }));

/** Some bits of some bytes. A position beyond the end wraps around. */
const flips = fc.array(fc.tuple(position, fc.nat({ max: 7 })), {
  minLength: 1,
  maxLength: 3,
});

function flipped(bytes: Buffer, bits: readonly (readonly [number, number])[]): Buffer {
  const copy = Buffer.from(bytes);
  for (const [where, bit] of bits) {
    const at = where % copy.length;
    copy[at] = (copy[at] ?? 0) ^ (1 << bit);
  }
  return copy;
}

/** Writes JSON with members in the given order. A name may occur twice. */
const jsonOf = (members: readonly (readonly [string, unknown])[]) =>
  `{${members.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`;

const oddValue = fc.oneof(
  fc.constantFrom<unknown>(
    ...[null, true, 0, -1, 0.5, 1e308, NOW, "", " ", "x", "latchkey", "blyan-api", [], {}],
    ...[["latchkey"], ["x", "latchkey"], [["latchkey"]], ["blyan-api"], { "x5t#S256": "A".repeat(42) }],
    ...[
      ["10.0.0.0/8", "::/0"],
      ["10.1.1.1/8"],
      ["x"],
      "10.0.0.0/8",
      "\u0000",
      "a:b",
      "chat:read  chat:write",
    ],
  ),
  fc.jsonValue(),
);

const extraMember = fc.tuple(
  fc.constantFrom("__proto__", "constructor", "toString", "admin", "crit", "b64", "alg"),
  oddValue,
);

const nearTime = fc.constantFrom(-6, -5, -1, 0, 1, 4, 5, 6, 499, 500, 501, 999, 1000, 1001, 1005, 1006);
const nearClaim = fc
  .tuple(nearTime, fc.constantFrom(0, 0, 0, 0.5))
  .map(([offset, part]) => NOW + offset + part);

const replacedHeader: fc.Arbitrary<() => Part> = fc.oneof(
  fc.tuple(fc.constantFrom("typ", "alg", "kid", "crit", "b64", "jwk", "__proto__"), oddValue).map(
    ([name, value]) =>
      () =>
        jsonOf([...Object.entries(validHeader()), [name, value]]),
  ),
  fc
    .constantFrom("none", "hs256", "HS384", "HS512", "ES256", "EdDSA", "RS256", "HS256")
    .chain((alg) =>
      fc.nat({ max: 3 }).map((kid) => () => ({ typ: "JWT", alg, kid: kids[kid] ?? "unknown" })),
    ),
  fc.constantFrom<() => Part>(
    () => ({ ...validHeader(), crit: ["b64"], b64: false }),
    () => ({ ...validHeader(), crit: [] }),
    () => ({ ...validHeader(), typ: "jwt" }),
    () => ({ ...validHeader(), typ: "application/jwt" }),
    () => `\ufeff${JSON.stringify(validHeader())}`,
    () => ` ${JSON.stringify(validHeader())}\n`,
    () => [validHeader()],
    () => null,
    () => jsonOf([["kid", "another"], ...Object.entries(validHeader())]),
    () => jsonOf([["alg", "none"], ...Object.entries(validHeader())]),
    // Invalid UTF-8 in a member that a later one replaces: only the bytes show it.
    () => Buffer.concat([Buffer.from('{"kid":"\xff",', "latin1"), bytesOf(validHeader()).subarray(1)]),
  ),
);

const replacedPayload: fc.Arbitrary<Part> = fc.oneof(
  fc
    .array(fc.tuple(fc.constantFrom(...claimNames), oddValue), { minLength: 1, maxLength: 3 })
    .map((changes) => ({ ...validClaims, ...Object.fromEntries(changes) })),
  fc
    .subarray(claimNames, { minLength: claimNames.length - 3 })
    .map((kept) => Object.fromEntries(Object.entries(validClaims).filter(([name]) => kept.includes(name)))),
  fc
    .tuple(fc.constantFrom(...claimNames), oddValue, fc.boolean())
    .map(([name, value, first]) =>
      jsonOf(
        first
          ? [[name, value], ...Object.entries(validClaims)]
          : [...Object.entries(validClaims), [name, value]],
      ),
    ),
  fc.constantFrom<Part>(
    { ...validClaims, iss: undefined },
    { ...validClaims, aud: undefined },
    { ...validClaims, iss: undefined, aud: undefined },
    { ...validClaims, iss: "x", aud: undefined },
    { ...validClaims, iss: "x", aud: "x" },
    { ...validClaims, aud: ["x", names.audience] },
    { ...validClaims, aud: [[names.audience]] },
    { ...validClaims, iss: [names.issuer] },
  ),
  extraMember.map((member) => jsonOf([member, ...Object.entries(validClaims)])),
  fc.constantFrom<Part>(
    `\ufeff${JSON.stringify(validClaims)}`,
    `\ufeff\ufeff${JSON.stringify(validClaims)}`,
    `\ufeff${JSON.stringify({ ...validClaims, iss: "x" })}`,
    `\t${JSON.stringify(validClaims)} `,
    JSON.stringify(validClaims).replace(String(NOW + 1000), "1e999"),
    JSON.stringify(validClaims).replace("acme", "\\ud800"),
    Buffer.from(JSON.stringify(validClaims).replace("acme", "\xff"), "latin1"),
    Buffer.from(JSON.stringify(validClaims).replace("Zo", "\xed\xa0\x80"), "latin1"),
    ...["x", "[]", "null", "1", '"x"', "{", "{}", "\u0000"],
  ),
);

/** Names and claims as Latchkey signs them. */
const signedClaims = fc
  .record({
    name: fc.string({ unit: "binary", maxLength: 130 }),
    own: fc.stringMatching(/^[A-Za-z0-9_.@/-]{1,128}$/),
    plan: fc.oneof(fc.stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/), fc.string(), fc.integer()),
    scope: fc
      .array(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9:._/-]{0,63}$/), { maxLength: 5 })
      .map((scopes) => scopes.join(" ")),
    exp: fc.integer({ min: NOW + 500, max: NOW + 401 * 86_400 }),
  })
  .map((change) => ({ ...validClaims, ...change }));

const KINDS: Readonly<
  Record<string, readonly [samples: fc.Arbitrary<Partial<Sample>>, ...outcomes: string[]]>
> = {
  "signed claims": [
    fc.tuple(signedClaims, fc.constantFrom(SECRET, PREVIOUS)).map(([payload, secret]) => ({
      payload,
      header: () => ({ ...validHeader(), kid: kids[secret === SECRET ? 0 : 1] }),
      sign: mac(secret),
    })),
    "valid",
  ],
  "bits of the token flipped": [
    flips.map((bits) => ({
      alter: (token: string) => flipped(Buffer.from(token), bits).toString("latin1"),
    })),
    "token_malformed",
    "signature_wrong",
  ],
  "bits of the header flipped before it was signed": [
    flips.map((bits) => ({ header: () => flipped(bytesOf(validHeader()), bits) })),
    "header_not_accepted",
    "key_unknown",
  ],
  "bits of the claims flipped before they were signed": [
    flips.map((bits) => ({ payload: flipped(bytesOf(validClaims), bits) })),
    "token_malformed",
    "claims_not_accepted",
  ],
  "another signature": [
    fc
      .oneof(
        flips.map(
          (bits): Sign =>
            (signed) =>
              flipped(mac(SECRET)(signed), bits),
        ),
        fc.nat({ max: 31 }).map(
          (length): Sign =>
            (signed) =>
              mac(SECRET)(signed).subarray(0, length),
        ),
        fc.uint8Array({ minLength: 1, maxLength: 40 }).map(
          (more): Sign =>
            (signed) =>
              Buffer.concat([mac(SECRET)(signed), more]),
        ),
        fc.uint8Array({ maxLength: 80 }).map(
          (bytes): Sign =>
            () =>
              Buffer.from(bytes),
        ),
        fc.constantFrom(mac(PREVIOUS), mac(OTHER), mac(SECRET, "sha512"), mac(""), () => Buffer.alloc(32)),
      )
      .map((sign) => ({ sign })),
    "signature_wrong",
    "token_malformed",
  ],
  "another header": [
    replacedHeader.map((header) => ({ header })),
    "valid",
    "token_malformed",
    "header_not_accepted",
    "algorithm_not_allowed",
    "key_unknown",
  ],
  "other claims": [
    replacedPayload.map((payload) => ({ payload })),
    "valid",
    "token_malformed",
    "issuer_unknown",
    "audience_wrong",
    "times_not_accepted",
    "claims_not_accepted",
  ],
  "times near their boundaries": [
    fc.oneof(
      fc
        .record(
          { iat: nearClaim, nbf: nearClaim, exp: nearClaim, refresh_after: nearClaim },
          { requiredKeys: [] },
        )
        .chain((times) =>
          fc.tuple(nearTime, fc.constantFrom(-1, 0, 1, 0.5, 999)).map(([seconds, ms]) => ({
            payload: { ...validClaims, ...("iat" in times ? { nbf: times.iat } : {}), ...times },
            nowMs: (NOW + seconds) * 1000 + ms,
          })),
        ),
      fc
        .tuple(nearTime, fc.constantFrom(-1, 0, 1))
        .map(([seconds, ms]) => ({ nowMs: (NOW + seconds) * 1000 + ms })),
      // Only whole seconds of our clock count, also for a time with a fraction.
      fc
        .tuple(fc.constantFrom(4.5, 5, 5.5, 6), fc.constantFrom(0, 499, 501, 999))
        .map(([ahead, ms]) => ({ payload: { ...validClaims, nbf: NOW + ahead }, nowMs: NOW * 1000 + ms })),
    ),
    "valid",
    "key_expired",
    "not_yet_valid",
    "times_not_accepted",
  ],
  "another spelling": [
    fc
      .tuple(
        position,
        fc.constantFrom("=", "==", " ", "\n", ".", "+", "/", "-", "_", "\u0000", "é", "A", "%3D"),
      )
      .map(([where, text]) => ({
        alter: (token: string) => {
          const at = where % (token.length + 1);
          return `${token.slice(0, at)}${text}${token.slice(at)}`;
        },
      })),
    "token_malformed",
  ],
  "unused bits": [
    fc.constantFrom(0, 1, 2).chain((part) =>
      fc.constantFrom(1, 2, 3).map((bits) => ({
        // Their lengths leave two unused bits in every part.
        payload: JSON.stringify(validClaims).padEnd(
          3 * Math.ceil(JSON.stringify(validClaims).length / 3) + 2,
        ),
        alter: (token: string) => {
          const parts = token.split(".");
          const text = parts[part] ?? "";
          const last = ALPHABET[ALPHABET.indexOf(text.at(-1) ?? "") ^ bits] ?? "";
          parts[part] = text.slice(0, -1) + last;
          return parts.join(".");
        },
      })),
    ),
    "token_malformed",
  ],
  "empty and large parts": [
    fc.oneof(
      fc.constantFrom("..", ".", "", "a.b", "a.b.c.d").map((text) => ({ alter: () => text })),
      fc.nat({ max: 2 }).map((part) => ({
        alter: (token: string) =>
          token
            .split(".")
            .map((text, index) => (index === part ? "" : text))
            .join("."),
      })),
      fc
        .integer({ min: 5000, max: 6500 })
        .map((length) => ({ payload: { ...validClaims, scope: "x".repeat(length) } })),
      fc.integer({ min: 1, max: 9000 }).map((length) => ({ sign: () => Buffer.alloc(length) })),
    ),
    "token_malformed",
    "token_too_long",
    "signature_wrong",
    "claims_not_accepted",
  ],
  "any text": [
    fc
      .oneof(
        fc.string({ unit: "binary" }),
        fc.array(fc.stringMatching(/^[A-Za-z0-9_-]*$/), { maxLength: 4 }).map((parts) => parts.join(".")),
      )
      .map((text) => ({ alter: () => text })),
    "token_malformed",
  ],
};

function outcomeOf(verified: Verification): string {
  if (verified.ok) return "valid";
  return verified.reason === "credential_invalid" ? (verified.rejection?.cause ?? "") : verified.reason;
}

test.each(Object.entries(KINDS))("%s: the verdict is that of jose", async (_kind, [samples, ...outcomes]) => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(samples, async (change) => {
      const sample = { ...valid, ...change };
      const token = tokenOf(sample);
      const verified = createVerifier({ ...names, ring: () => ring, cacheSize: 1 }).verify(
        token,
        sample.nowMs,
      );
      const expected = await verifyWithJose(token, ring, names, sample.nowMs);
      seen.add(outcomeOf(expected));
      expect(await verified).toEqual(expected);
      // Only a token that names an asymmetric key may wait for jose.
      if (headerKid(token) !== kids[2]) expect(verified).not.toBeInstanceOf(Promise);
    }),
    { numRuns: 400 },
  );
  expect([...seen]).toEqual(expect.arrayContaining(outcomes));
});

function headerKid(token: string): unknown {
  try {
    return Object(JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString())).kid;
  } catch {
    return undefined;
  }
}

test("exactly the segments that survive a round trip are canonical", () => {
  const expectRoundTrip = (part: string) => {
    const isCanonical = part !== "" && Buffer.from(part, "base64url").toString("base64url") === part;
    expect(canonicalSegments(`${part}.AA.AA`)).toEqual(isCanonical ? [part, "AA", "AA"] : undefined);
    expect(canonicalSegments(`AA.${part}.AA`)).toEqual(isCanonical ? ["AA", part, "AA"] : undefined);
    expect(canonicalSegments(`AA.AA.${part}`)).toEqual(isCanonical ? ["AA", "AA", part] : undefined);
  };
  for (const start of ["", "A", "_-", "b7Z", "AAAA"])
    for (const last of ALPHABET) expectRoundTrip(start + last);
  fc.assert(
    fc.property(
      fc.string({ unit: "binary", maxLength: 6 }).map((text) => text.replaceAll(".", "")),
      expectRoundTrip,
    ),
  );
});
