import { describe, expect, test } from "vitest";
import type { Role } from "../policy/policy.ts";
import { firstKey } from "./key-lifecycle.ts";
import type { KeyRecord } from "./key-record.ts";
import type { RefreshRequest } from "./refresh-rule.ts";
import { exchanged, familyStartOf, lifetime, refreshKey } from "./refresh-rule.ts";

const NOW = 1_800_000_000;
const role: Role = {
  name: "basic",
  scopes: new Set(["a"]),
  ttlSeconds: 1000,
  refreshWindowSeconds: 100,
  selfService: false,
  mayGrant: [],
  mayAssignPlans: [],
  bucketPrefix: "basic",
  rateLimits: [],
  quotas: [],
};
const aged = { ...role, maxFamilyAgeSeconds: 1500 };
const key = firstKey(
  { role, scopes: ["a"], name: "n", owner: "acme", plan: "team", selfService: true, metadata: "{}" },
  { keyId: "basic_1_first", family: "fam_first" },
  NOW,
);

function refresh(current: KeyRecord, atSeconds: number, more: Partial<RefreshRequest> = {}) {
  return refreshKey(current, { role, nextKeyId: "basic_2_next", nowSeconds: NOW + atSeconds, ...more });
}

function minted(...args: Parameters<typeof refresh>) {
  const result = refresh(...args);
  return result.kind === "minted" ? result : expect.fail(JSON.stringify(result));
}

describe("the life of a key", () => {
  test.each<readonly [what: string, args: Parameters<typeof lifetime>, expires: number, refreshFrom: number]>(
    [
      ["is the role's", [role, undefined, 0, 0], 1000, 900],
      ["is shorter on request", [role, 300, 0, 0], 300, 200],
      ["is never longer than the role's", [role, 5000, 0, 0], 1000, 900],
      ["ends with the family", [aged, undefined, 0, 800], 1500, 1400],
      ["has no refresh in its first half, rounded up", [role, 51, 0, 0], 51, 26],
      ["has its refresh in the second half, if the window is longer", [role, 150, 0, 0], 150, 75],
    ],
  )("%s", (_what, args, expiresAt, refreshAfter) => {
    expect(lifetime(...args)).toEqual({ issuedAt: args[3], expiresAt, refreshAfter });
  });
});

describe("a successor", () => {
  test("keeps everything that its predecessor was granted, and has its own id, dates and version", () => {
    const { old, next } = minted({ ...key, nets: ["192.0.2.0/24"], version: 7, changedAt: 5 }, 950);
    const life = { issuedAt: NOW + 950, expiresAt: NOW + 1950, refreshAfter: NOW + 1850 };
    const kept = { ...key, nets: ["192.0.2.0/24"], changedAt: 5 };
    expect(next).toEqual({ ...kept, ...life, keyId: "basic_2_next", version: 1 });
    expect(old).toStrictEqual({
      ...kept,
      version: 8,
      successor: { keyId: "basic_2_next", at: NOW + 950, notAfter: NOW + 1000 },
    });
  });

  test("of a rotation within the life of its predecessor may end before it would have", () => {
    const { next } = minted(key, 600, { role: { ...aged, maxFamilyAgeSeconds: 900 }, rotation: {} });
    expect(next).toMatchObject({ issuedAt: NOW + 600, expiresAt: NOW + 900 });
    expect(refresh(key, 950, { role: { ...aged, maxFamilyAgeSeconds: 900 } })).toMatchObject({
      kind: "denied",
      reason: "family_too_old",
    });
  });

  test("is denied when the age of the family is reached, also to a rotation", () => {
    const old = { ...key, familyStartedAt: NOW - 1000, expiresAt: NOW + 1000 };
    expect(refresh(old, 499, { role: aged, rotation: {} })).toMatchObject({ kind: "minted" });
    expect(refresh(old, 500, { role: aged, rotation: {} })).toEqual({
      kind: "denied",
      reason: "family_too_old",
    });
  });

  test("of a refresh must gain time: an equal end gains nothing", () => {
    const ends = { ...key, expiresAt: NOW + 1500, refreshAfter: NOW };
    expect(refresh(ends, 900, { role: aged })).toMatchObject({ reason: "family_too_old" });
    expect(refresh({ ...ends, expiresAt: NOW + 1499 }, 900, { role: aged }).kind).toBe("minted");
  });

  test("has no earlier date than its predecessor, which may be dated ahead behind a cut-off", () => {
    const ahead = { ...key, issuedAt: NOW + 5 };
    expect(minted(ahead, 1, { rotation: {} }).next).toMatchObject({
      issuedAt: NOW + 5,
      expiresAt: NOW + 1005,
    });
  });

  test("leaves its predecessor valid for the overlap of the rotation, of the role, or until its end", () => {
    const notAfter = (more: Partial<RefreshRequest>) => minted(key, 950, more).old.successor?.notAfter;
    const overlapping = { ...role, refreshOverlapSeconds: 20 };
    expect(notAfter({})).toBe(NOW + 1000);
    expect(notAfter({ role: overlapping })).toBe(NOW + 970);
    expect(notAfter({ role: overlapping, rotation: {} })).toBe(NOW + 970);
    expect(notAfter({ role: overlapping, rotation: { overlapSeconds: 10 } })).toBe(NOW + 960);
    expect(notAfter({ role: overlapping, rotation: { overlapSeconds: 900 } })).toBe(NOW + 1000);
  });

  test("is found again by the Idempotency-Key of its refresh until the overlap ends", () => {
    const short = { role: { ...role, refreshOverlapSeconds: 20 }, idempotency: "digest" };
    const { old } = minted(key, 950, short);
    expect(old.successor?.idempotency).toBe("digest");
    expect(refresh(old, 969, short)).toEqual({ kind: "replayed", keyId: "basic_2_next" });
    expect(refresh(old, 970, short)).toEqual({ kind: "denied", reason: "key_superseded" });
  });
});

describe("a V1 key", () => {
  const legacy = { hash: "h", alias: "a" };
  const v1: KeyRecord = { ...key, familyStartedAt: NOW - 9000, legacy, expiresAt: NOW + 99_999 };

  test("starts its family with its first exchange, which stays the first one", () => {
    expect(familyStartOf(v1, NOW)).toBe(NOW);
    expect(familyStartOf({ ...v1, legacy: { ...legacy, migratedAt: NOW - 5 } }, NOW)).toBe(NOW - 5);
    expect(familyStartOf(key, NOW + 5)).toBe(NOW);
    expect(exchanged(v1, NOW)).toEqual({ legacy: { ...legacy, migratedAt: NOW } });
    const before = { ...v1, legacy: { ...legacy, migratedAt: NOW - 5 } };
    expect(exchanged(before, NOW)).toEqual({ legacy: before.legacy });
    expect(exchanged(key, NOW)).toEqual({});
  });

  test("is rotated to a V2 key, whose record has nothing of the V1 key", () => {
    const { old, next } = minted(v1, 10, { rotation: {} });
    expect(next).toMatchObject({ familyStartedAt: NOW + 10, expiresAt: NOW + 1010 });
    expect(next).not.toHaveProperty("legacy");
    expect(old.legacy).toEqual({ ...legacy, migratedAt: NOW + 10 });
  });
});
