import { describe, expect, test } from "vitest";
import { newJwk } from "../../test/support/jwk.ts";
import type { Jwk } from "./jwk.ts";
import { jwkProblem, publicMembers, textMembers } from "./jwk.ts";

/** A number of this many bits as base64url (RFC 7518 §6.3.1). */
function ofBits(bits: number): string {
  const hex = ((1n << BigInt(bits - 1)) | 1n).toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex").toString("base64url");
}

const exponent = (value: number) => {
  const hex = value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex").toString("base64url");
};
const rsa: Jwk = { kty: "RSA", n: ofBits(2048), e: "AQAB" };
const ec: Jwk = { kty: "EC", crv: "P-256", x: "x", y: "y" };

describe("a key is used with the algorithm of its kind only (RFC 7518 §6, RFC 8037 §2)", () => {
  const keys: readonly Jwk[] = [
    { kty: "oct", k: "k" },
    rsa,
    ec,
    { kty: "EC", crv: "P-384", x: "x", y: "y" },
    { kty: "OKP", crv: "Ed25519", x: "x" },
    { kty: "OKP", crv: "X25519", x: "x" },
    { kty: "EC", crv: "secp256k1", x: "x", y: "y" },
  ];
  test.each([
    ["HS256", ["oct"]],
    ["RS256", ["RSA"]],
    ["PS256", ["RSA"]],
    ["ES256", ["P-256"]],
    ["ES384", ["P-384"]],
    ["EdDSA", ["Ed25519"]],
  ] as const)("%s", (alg, expected) => {
    const usable = keys.filter((key) => jwkProblem(key, alg) === undefined);
    expect(usable.map((key) => key["crv"] ?? key.kty)).toEqual(expected);
  });

  test("and the problem says which kind that is", () => {
    expect(jwkProblem(rsa, "ES256")).toBe("ES256 takes a key of kty EC and crv P-256");
    expect(jwkProblem(ec, "RS256")).toBe("RS256 takes a key of kty RSA");
  });

  test("and a curve counts only for keys that have one (RFC 7517 §4)", () => {
    expect(jwkProblem({ ...rsa, crv: "P-256" }, "RS256")).toBeUndefined();
  });
});

describe("a key that states its purpose is used for no other one (RFC 7517 §4)", () => {
  test.each<readonly [members: Partial<Jwk>, problem: string | undefined]>([
    [{ use: "sig" }, undefined],
    [{ use: "enc" }, 'use must be sig, not "enc"'],
    [{ use: "" }, 'use must be sig, not ""'],
    [{ key_ops: [] }, undefined],
    [{ key_ops: ["sign"] }, undefined],
    [{ key_ops: ["verify", "sign"] }, undefined],
    [{ key_ops: ["verify", "encrypt"] }, "key_ops must be sign and verify only"],
    [{ alg: "ES256" }, undefined],
    [{ alg: "ESP256" }, undefined],
    [{ alg: "ES384" }, 'its alg is "ES384", not ES256'],
  ])("%j: %s", (members, problem) => {
    expect(jwkProblem({ ...ec, ...members }, "ES256")).toBe(problem);
  });
});

describe("an RSA key", () => {
  test.each([
    [2047, "an RSA key has 2048 to 8192 bits, not 2047"],
    [2048, undefined],
    [8192, undefined],
    [8193, "an RSA key has 2048 to 8192 bits, not 8193"],
  ])("of %d bits: %s", (bits, problem) => {
    expect(jwkProblem({ ...rsa, n: ofBits(bits) }, "RS256")).toBe(problem);
  });

  test.each([
    [65_537, true],
    [65_539, true],
    [65_535, false],
    [65_538, false],
    [3, false],
    [1, false],
    [0, false],
  ])("with the exponent %d is accepted: %s", (value, ok) => {
    const problem = ok ? undefined : "an RSA exponent is odd and at least 65537";
    expect(jwkProblem({ ...rsa, e: exponent(value) }, "RS256")).toBe(problem);
  });

  test.each([{ n: undefined }, { n: 5 }, { n: "" }])("with the modulus %j has no bits", (members) => {
    expect(jwkProblem({ ...rsa, ...members }, "RS256")).toContain("bits, not 1");
  });
});

describe("the public members of a private key", () => {
  test.each(["ES256", "EdDSA", "RS256"] as const)("for %s are all that is published of it", (alg) => {
    const jwk = { ...newJwk(alg, "k"), kty: { ES256: "EC", EdDSA: "OKP", RS256: "RSA" }[alg] };
    const members = { ES256: "crv kty x y", EdDSA: "crv kty x", RS256: "e kty n" }[alg];
    expect(Object.keys(publicMembers(jwk)).sort().join(" ")).toBe(members);
  });

  test("do not exist for a secret and for an unknown kind of key", () => {
    expect(publicMembers({ kty: "oct", k: "secret" })).toEqual({});
    expect(publicMembers({ kty: "constructor", d: "secret" })).toEqual({});
  });

  test("are texts: other members, and the stated purpose, are left out", () => {
    expect(publicMembers({ ...ec, x: 5, use: "sig" })).toEqual({ kty: "EC", crv: "P-256", y: "y" });
    expect(textMembers({ ...ec, use: "sig", key_ops: ["sign"], d: "d" })).toEqual({ ...ec, d: "d" });
  });
});
