import { describe, expect, test } from "vitest";
import { algorithmName, escapeId, foreignId, isForeignId, issuerAlgorithm } from "./issuer.ts";

describe("algorithms of issuers", () => {
  test.each([
    ["RS256", "RS256"],
    ["PS256", "PS256"],
    ["ES256", "ES256"],
    ["ES384", "ES384"],
    ["EdDSA", "EdDSA"],
    ["Ed25519", "EdDSA"],
    ["ESP256", "ES256"],
    ["ESP384", "ES384"],
    ["HS256", undefined],
    ["none", undefined],
    ["", undefined],
    ["rs256", undefined],
    ["constructor", undefined],
  ])("%j is %s (RFC 9864)", (name, algorithm) => expect(issuerAlgorithm(name)).toBe(algorithm));

  test("a name that is not in a table keeps itself, also one of a prototype", () => {
    for (const name of ["HS256", "toString", "__proto__"]) expect(algorithmName(name)).toBe(name);
  });
});

describe("ids of issuers", () => {
  test.each([
    ["aZ09_.@-", "aZ09_.@-"],
    ["a b", "a%20b"],
    ["a:b/c|d", "a%3Ab%2Fc%7Cd"],
    ["%", "%25"],
    ["!'()*~", "%21%27%28%29%2A%7E"],
    ["é🔑", "%C3%A9%F0%9F%94%91"],
    ["\n", "%0A"],
    ["", undefined],
    ["\ud800", undefined],
    ["x".repeat(200), "x".repeat(200)],
    ["x".repeat(201), undefined],
    ["é".repeat(33), "%C3%A9".repeat(33)],
    ["é".repeat(34), undefined],
  ])("%j is written as %j", (id, text) => {
    expect(escapeId(id)).toBe(text);
    expect(foreignId("corp", id)).toBe(text && `corp:${text}`);
  });

  test.each([
    ["corp:a", true],
    ["c-1:aZ09_.@%-", true],
    [`${"c".repeat(32)}:a`, true],
    [`${"c".repeat(33)}:a`, false],
    [`corp:${"a".repeat(200)}`, true],
    [`corp:${"a".repeat(201)}`, false],
    ["corp:", false],
    [":a", false],
    ["Corp:a", false],
    ["1corp:a", false],
    ["corp:a:b", false],
    ["corp:a b", false],
    [" corp:a", false],
    ["corp:a\n", false],
    ["basic_1800000000_abcdefghijklmnopqrstuv", false],
  ])("%j is one of an issuer: %s", (id, expected) => expect(isForeignId(id)).toBe(expected));
});
