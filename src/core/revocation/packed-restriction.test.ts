import { describe, expect, test } from "vitest";
import type { PackedKey } from "./packed-key-map.ts";
import { merge, pack, samePacked, unpack } from "./packed-restriction.ts";

const restriction = { keyId: "k", version: 7, expiresAt: 90, revoked: false, disabled: false };

test.each([
  {},
  { revoked: true },
  { disabled: true },
  { revoked: true, disabled: true },
  { notAfter: 50 },
  { revoked: true, disabled: true, notAfter: 50 },
])("a restriction is unpacked as it was packed: %j", (more) => {
  const given = { ...restriction, ...more };
  expect(unpack("k", pack(given))).toStrictEqual({ kind: "key", ...given });
});

describe("two restrictions of one key", () => {
  const of = (more: Partial<typeof restriction & { notAfter: number }>) => pack({ ...restriction, ...more });
  const merged = (a: PackedKey, b: PackedKey) => {
    const both = [merge(a, b), merge(b, a)].map((packed) => unpack("k", packed));
    expect(both[0]).toEqual(both[1]);
    return both[0];
  };

  test("are kept until the later expiry, with the newer version", () => {
    expect(merged(of({ expiresAt: 80 }), of({ version: 9 }))).toMatchObject({ version: 9, expiresAt: 90 });
  });

  test("are revoked if one of them is, whichever is newer", () => {
    for (const version of [6, 7, 8])
      expect(merged(of({ revoked: true }), of({ version }))).toMatchObject({ revoked: true });
    expect(merged(of({}), of({ version: 8 }))).toMatchObject({ revoked: false, disabled: false });
  });

  test("are disabled as the newer one is, and if one is of the same version", () => {
    for (const [version, disabled] of [
      [6, true],
      [7, true],
      [8, false],
    ] as const)
      expect(merged(of({ disabled: true }), of({ version }))).toMatchObject({ disabled });
    // A revocation does not make a key disabled.
    expect(merged(of({ revoked: true }), of({ version: 7 }))).toMatchObject({ disabled: false });
  });

  test("end at the earlier end of an overlap", () => {
    expect(merged(of({ notAfter: 50 }), of({ version: 9 }))).toMatchObject({ notAfter: 50 });
    expect(merged(of({ notAfter: 50 }), of({ version: 9, notAfter: 40 }))).toMatchObject({ notAfter: 40 });
    expect(merged(of({ notAfter: 40 }), of({ version: 9, notAfter: 50 }))).toMatchObject({ notAfter: 40 });
    expect(merged(of({}), of({ version: 9 }))).not.toHaveProperty("notAfter");
  });

  test("are the same if they deny the same: how long they are kept does not matter", () => {
    const one = of({ notAfter: 50 });
    expect(samePacked(one, of({ notAfter: 50, expiresAt: 80 }))).toBe(true);
    for (const other of [{ version: 8 }, { revoked: true }, { disabled: true }, { notAfter: 51 }])
      expect(samePacked(one, of({ notAfter: 50, ...other }))).toBe(false);
  });
});
