import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { createDigest } from "./digest.ts";

const sha256Hex = (text: string) => createHash("sha256").update(text).digest("hex");

function digestOf(texts: readonly string[], hash = sha256Hex) {
  const digest = createDigest(hash);
  for (const text of texts) digest.add(text);
  return digest.sum();
}

test("the same texts in any order have one digest, of 16 characters", () => {
  const { rows, digest } = digestOf(["a", "b", "c"]);
  expect([rows, digest]).toEqual([3, expect.stringMatching(/^[0-9a-f]{16}$/)]);
  expect(digestOf(["c", "a", "b"])).toEqual({ rows, digest });
});

test("another text, a missing one and one that occurs twice change the digest", () => {
  const digests = [["a", "b"], ["a", "c"], ["a"], ["a", "b", "b"], ["a", "a", "b", "b"], []].map(
    (texts) => digestOf(texts).digest,
  );
  expect(new Set(digests).size).toBe(digests.length);
});

test("the digest of no text is zero", () => {
  expect(digestOf([])).toEqual({ rows: 0, digest: "0".repeat(16) });
});

test("the digest is the first 64 bits of the sum of all hashes modulo 2^256", () => {
  expect(digestOf(["a"])).toEqual({ rows: 1, digest: sha256Hex("a").slice(0, 16) });
  // 2^256 - 1 and 2^192 + 1.
  const hashes = { large: "f".repeat(64), small: `${"0".repeat(15)}1${"0".repeat(47)}1` };
  const hash = (text: string) => hashes[text === "large" ? "large" : "small"];
  expect(digestOf(["small"], hash).digest).toBe("0000000000000001");
  expect(digestOf(["large", "small"], hash)).toEqual({ rows: 2, digest: "0000000000000001" });
});
