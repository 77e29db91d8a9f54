import { expect, test } from "vitest";
import { createSeal } from "./seal.ts";

const [OLD, NEW] = ["a secret of the fleet, 32 bytes long", "another secret of the fleet, 32 bytes"];

test("a sealed text opens with the current secret and with a former one, for its own purpose only", () => {
  const sealed = createSeal([OLD]).seal("link", "text");
  expect(createSeal([OLD]).open("link", sealed)).toBe("text");
  expect(createSeal([NEW, OLD]).open("link", sealed)).toBe("text");
  expect(createSeal([OLD]).open("session", sealed)).toBeUndefined();
  expect(createSeal([NEW]).open("link", sealed)).toBeUndefined();
});

test("a changed or shortened text does not open", () => {
  const seal = createSeal([OLD]);
  const bytes = Buffer.from(seal.seal("session", "the credential"), "base64url");
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
    expect(seal.open("session", changed.toString("base64url"))).toBeUndefined();
    expect(seal.open("session", bytes.subarray(0, at).toString("base64url"))).toBeUndefined();
  }
});

test("the same text is sealed differently each time, and contains nothing of it", () => {
  const seal = createSeal([OLD]);
  const [first, second] = [seal.seal("session", "the credential"), seal.seal("session", "the credential")];
  expect(first).not.toBe(second);
  expect(Buffer.from(first, "base64url").toString("latin1")).not.toContain("credential");
});
