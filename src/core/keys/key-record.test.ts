import { describe, expect, test } from "vitest";
import { KEY, NOW } from "../../../test/support/scripted-registry.ts";
import type { KeyRecord, KeyStatus, OwnerCount } from "./key-record.ts";
import {
  claimsOf,
  countsAsSelfService,
  isFamilyId,
  isKeyId,
  isLegacyId,
  ownerCountOf,
  roleOfKeyId,
  statusOf,
} from "./key-record.ts";

const successor = (notAfter: number) => ({ keyId: "k2", at: NOW, notAfter });
const { owner: _, ...unowned } = KEY;
const V1_ID = "basic_1800000000_v1aaaaaaaaaaaaaaaaaaaaaa";
const V1_FAMILY = "fam_v1aaaaaaaaaaaaaaaaaaaaaa";

describe("the claims of a record", () => {
  const required = {
    iss: "blyan",
    aud: "latchkey",
    sub: KEY.family,
    name: "n",
    jti: KEY.keyId,
    fam: KEY.family,
    role: "contributor",
    scope: "chat:read",
    iat: NOW,
    nbf: NOW,
    exp: NOW + 1000,
    refresh_after: NOW + 500,
  };

  test("leave out what the record does not have", () => {
    expect(claimsOf(unowned, "blyan", "latchkey")).toStrictEqual(required);
  });

  test("have its owner, plan, scopes and bindings", () => {
    const record = { ...KEY, plan: "team", scopes: ["a", "b"], nets: ["192.0.2.0/24"], certificate: "c" };
    expect(claimsOf(record, "blyan", "latchkey")).toStrictEqual({
      ...required,
      own: "acme",
      plan: "team",
      scope: "a b",
      nets: ["192.0.2.0/24"],
      cnf: { "x5t#S256": "c" },
    });
  });
});

test.each<readonly [status: KeyStatus, members: Partial<KeyRecord>, nowSeconds: number]>([
  ["active", {}, NOW + 999],
  ["expired", {}, NOW + 1000],
  ["expired", { disabled: true, successor: successor(NOW) }, NOW + 1000],
  ["revoked", { revokedAt: NOW, disabled: true }, NOW + 1000],
  ["disabled", { disabled: true, successor: successor(NOW) }, NOW],
  ["superseded", { successor: successor(NOW + 9) }, NOW],
])("a key is %s with %j at %d", (status, members, nowSeconds) => {
  expect(statusOf({ ...KEY, ...members }, nowSeconds)).toBe(status);
});

test.each([
  [KEY.keyId, true],
  ["a_b_1_aaaaaaaaaaaaaaaa", true],
  [V1_ID, true],
  [`${"r".repeat(64)}_123456789012_${"a".repeat(32)}`, true],
  [`${"r".repeat(65)}_1_${"a".repeat(16)}`, false],
  [`r_1234567890123_${"a".repeat(16)}`, false],
  [`r_1_${"a".repeat(15)}`, false],
  [`r_1_${"a".repeat(33)}`, false],
  [`1r_1_${"a".repeat(16)}`, false],
  [`r__${"a".repeat(16)}`, false],
  [`r_x_${"a".repeat(16)}`, false],
  [`r:_1_${"a".repeat(16)}`, false],
  [` ${KEY.keyId}`, false],
  [`${KEY.keyId}\n`, false],
  [KEY.family, false],
])("%j is a key id: %s", (text, expected) => expect(isKeyId(text)).toBe(expected));

test.each([
  [KEY.family, true],
  [V1_FAMILY, true],
  [`fam_${"a".repeat(16)}`, true],
  [`fam_${"a".repeat(32)}`, true],
  [`fam_${"a".repeat(15)}`, false],
  [`fam_${"a".repeat(33)}`, false],
  [`xfam_${"a".repeat(16)}`, false],
  [`fam_${"a".repeat(16)}\n`, false],
  ["acme", false],
])("%j is a family id: %s", (text, expected) => expect(isFamilyId(text)).toBe(expected));

test.each([
  [V1_ID, true],
  [V1_FAMILY, true],
  [KEY.keyId, false],
  [KEY.family, false],
  [`fam_v1${"a".repeat(21)}`, false],
  [`${V1_FAMILY}a`, false],
])("%j belongs to a V1 key: %s", (text, expected) => expect(isLegacyId(text)).toBe(expected));

test.each([
  [KEY.keyId, "contributor"],
  ["node_operator_1_aaaaaaaaaaaaaaaa", "node_operator"],
])("the role of %j is %j", (keyId, role) => expect(roleOfKeyId(keyId)).toBe(role));

describe("a key counts as self-service", () => {
  const legacy = { hash: "h" };
  test.each<readonly [what: string, members: Partial<KeyRecord>, counts: boolean]>([
    ["that was registered without an operator", {}, true],
    ["that is disabled", { disabled: true }, true],
    ["that an operator registered", { selfService: false }, false],
    ["that is revoked", { revokedAt: NOW }, false],
    ["that is superseded", { successor: successor(NOW) }, false],
    ["of V1", { legacy, family: V1_FAMILY }, true],
    ["that a V1 key was exchanged for, which counts for it", { family: V1_FAMILY }, false],
    ["of V1 with a plain family", { legacy }, true],
  ])("%s", (_what, members, counts) => {
    expect(countsAsSelfService({ ...KEY, selfService: true, ...members })).toBe(counts);
  });
});

describe("for its owner", () => {
  test.each<readonly [what: string, record: KeyRecord, count: OwnerCount | undefined]>([
    ["a key counts until its expiry", KEY, { as: "active", until: NOW + 1000 }],
    ["a disabled key counts", { ...KEY, disabled: true }, { as: "active", until: NOW + 1000 }],
    ["a key without an owner does not count", unowned, undefined],
    ["a revoked key does not count", { ...KEY, revokedAt: NOW }, undefined],
    [
      "an overlap counts to its end",
      { ...KEY, successor: successor(NOW + 9) },
      { as: "overlap", until: NOW + 9 },
    ],
    [
      "an overlap counts at most until the expiry",
      { ...KEY, successor: successor(NOW + 2000) },
      { as: "overlap", until: NOW + 1000 },
    ],
  ])("%s", (_what, record, count) => expect(ownerCountOf(record)).toEqual(count));
});
