import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Role } from "../policy/policy.ts";
import type { Grant } from "./key-lifecycle.ts";
import { firstKey, patchKey, revokeKey } from "./key-lifecycle.ts";
import { statusOf } from "./key-record.ts";
import { decodeRecord, encodeRecord } from "./key-record-codec.ts";
import type { RefreshRequest } from "./refresh-rule.ts";
import { refreshKey } from "./refresh-rule.ts";

const DAY = 86_400;
const NOW = 1_800_000_000;

function roleWith(more: Partial<Role> = {}): Role {
  return {
    name: "basic",
    scopes: new Set(["chat:read", "chat:write"]),
    ttlSeconds: 7 * DAY,
    refreshWindowSeconds: DAY,
    selfService: false,
    mayGrant: [],
    mayAssignPlans: [],
    bucketPrefix: "basic",
    rateLimits: [],
    quotas: [],
    ...more,
  };
}

function keyWith(more: Partial<Grant> = {}, role = roleWith()) {
  const grant: Grant = { role, scopes: [...role.scopes], name: "test", selfService: false, ...more };
  return firstKey(grant, { keyId: "basic_1_first", family: "fam_first" }, NOW);
}

function requestAt(nowSeconds: number, more: Partial<RefreshRequest> = {}): RefreshRequest {
  return { role: roleWith(), nextKeyId: "basic_2_next", nowSeconds, ...more };
}

describe("a new key", () => {
  test("lives for the ttl of its role, and can be refreshed in its last window", () => {
    expect(keyWith()).toMatchObject({
      issuedAt: NOW,
      expiresAt: NOW + 7 * DAY,
      refreshAfter: NOW + 6 * DAY,
      version: 1,
    });
  });

  test("has exactly what its grant says", () => {
    const record = {
      keyId: "basic_1_first",
      family: "fam_first",
      familyStartedAt: NOW,
      role: "basic",
      scopes: ["chat:read", "chat:write"],
      name: "test",
      issuedAt: NOW,
      expiresAt: NOW + 7 * DAY,
      refreshAfter: NOW + 6 * DAY,
      selfService: false,
      disabled: false,
      version: 1,
    };
    expect(keyWith()).toStrictEqual(record);
    const more = {
      owner: "acme",
      plan: "team",
      metadata: "{}",
      nets: ["192.0.2.0/24"],
      certificate: "A".repeat(43),
    };
    expect(keyWith({ ...more, ttlSeconds: 7 * DAY, selfService: true })).toStrictEqual({
      ...record,
      ...more,
      ttlSeconds: 7 * DAY,
      selfService: true,
    });
  });

  test("lives shorter on request, and is never refreshed in the first half of its life", () => {
    expect(keyWith({ ttlSeconds: 100 })).toMatchObject({ expiresAt: NOW + 100, refreshAfter: NOW + 50 });
  });

  test("outlives neither its role nor its family", () => {
    expect(keyWith({ ttlSeconds: 100 * DAY }).expiresAt).toBe(NOW + 7 * DAY);
    expect(keyWith({}, roleWith({ maxFamilyAgeSeconds: 2 * DAY })).expiresAt).toBe(NOW + 2 * DAY);
  });
});

describe("refreshing", () => {
  const key = keyWith();

  test("is denied until refresh_after, to the second", () => {
    expect(refreshKey(key, requestAt(key.refreshAfter - 1))).toEqual({
      kind: "denied",
      reason: "refresh_too_early",
    });
    expect(refreshKey(key, requestAt(key.refreshAfter)).kind).toBe("minted");
  });

  test("leaves the old key valid until its own end, or for the role's overlap", () => {
    const result = refreshKey(key, requestAt(key.refreshAfter));
    expect(result).toMatchObject({
      old: { successor: { notAfter: key.expiresAt, keyId: "basic_2_next" }, version: 2 },
    });
    const short = refreshKey(
      key,
      requestAt(key.refreshAfter, { role: roleWith({ refreshOverlapSeconds: 60 }) }),
    );
    expect(short).toMatchObject({ old: { successor: { notAfter: key.refreshAfter + 60 } } });
  });

  test("returns the same successor for the same Idempotency-Key, and denies any other repetition", () => {
    const first = refreshKey(key, requestAt(key.refreshAfter, { idempotency: "digest" }));
    if (first.kind !== "minted") throw new Error(first.kind);
    const repeat = (idempotency?: string) =>
      refreshKey(
        first.old,
        requestAt(key.refreshAfter + 5, idempotency === undefined ? {} : { idempotency }),
      );
    expect(repeat("digest")).toEqual({ kind: "replayed", keyId: "basic_2_next" });
    expect(repeat("other")).toEqual({ kind: "denied", reason: "already_refreshed" });
    expect(repeat()).toEqual({ kind: "denied", reason: "already_refreshed" });
  });

  test("of a key that was refreshed without an Idempotency-Key cannot be repeated without one", () => {
    const first = refreshKey(key, requestAt(key.refreshAfter));
    if (first.kind !== "minted") throw new Error(first.kind);
    expect(refreshKey(first.old, requestAt(key.refreshAfter))).toEqual({
      kind: "denied",
      reason: "already_refreshed",
    });
  });

  test.each([
    ["revoked", revokeKey(key, NOW), key.refreshAfter, "key_revoked"],
    ["disabled", patchKey(key, { disabled: true }), key.refreshAfter, "key_disabled"],
    ["expired", key, key.expiresAt, "key_expired"],
  ] as const)("a key that is %s has no successor", (_state, record, at, reason) => {
    expect(refreshKey(record, requestAt(at))).toEqual({ kind: "denied", reason });
    expect(refreshKey(record, requestAt(at, { rotation: {} }))).toEqual({ kind: "denied", reason });
  });

  test("after its overlap a key is superseded, also for the same Idempotency-Key", () => {
    const first = refreshKey(
      key,
      requestAt(key.refreshAfter, { idempotency: "d", role: roleWith({ refreshOverlapSeconds: 60 }) }),
    );
    if (first.kind !== "minted") throw new Error(first.kind);
    expect(refreshKey(first.old, requestAt(key.refreshAfter + 60, { idempotency: "d" }))).toEqual({
      kind: "denied",
      reason: "key_superseded",
    });
  });

  test("ends with the family's age: a refresh that would gain no time is denied", () => {
    const role = roleWith({ maxFamilyAgeSeconds: 10 * DAY });
    const second = refreshKey(keyWith({}, role), requestAt(NOW + 6 * DAY, { role }));
    if (second.kind !== "minted") throw new Error(second.kind);
    expect(second.next).toMatchObject({ expiresAt: NOW + 10 * DAY, familyStartedAt: NOW });
    const third = refreshKey(second.next, requestAt(second.next.refreshAfter, { role }));
    expect(third).toEqual({ kind: "denied", reason: "family_too_old" });
  });

  test("keeps a shorter life short", () => {
    const brief = keyWith({ ttlSeconds: 100 });
    expect(refreshKey(brief, requestAt(brief.refreshAfter))).toMatchObject({
      next: { expiresAt: brief.refreshAfter + 100 },
    });
  });

  test("by rotation is possible at once and with its own overlap, but only once", () => {
    const rotated = refreshKey(key, requestAt(NOW + 1, { rotation: { overlapSeconds: 0 } }));
    if (rotated.kind !== "minted") throw new Error(rotated.kind);
    expect(rotated.old.successor?.notAfter).toBe(NOW + 1);
    const twice = refreshKey(key, requestAt(NOW + 1, { rotation: {} }));
    if (twice.kind !== "minted") throw new Error(twice.kind);
    expect(refreshKey(twice.old, requestAt(NOW + 2, { rotation: {} }))).toEqual({
      kind: "denied",
      reason: "already_refreshed",
    });
  });

  test("never widens anything, along any chain", () => {
    const subset = fc.subarray(["chat:read", "chat:write"]);
    fc.assert(
      fc.property(subset, fc.array(fc.nat({ max: 8 * DAY }), { maxLength: 6 }), (scopes, waits) => {
        let current = keyWith({ scopes, owner: "acme", ttlSeconds: 5 * DAY });
        let now = NOW;
        for (const wait of waits) {
          now += wait;
          const result = refreshKey(current, requestAt(now));
          if (result.kind !== "minted") continue;
          const { next } = result;
          expect(next).toMatchObject({
            scopes,
            owner: "acme",
            family: current.family,
            role: current.role,
            name: current.name,
          });
          expect(next.expiresAt - next.issuedAt).toBeLessThanOrEqual(5 * DAY);
          expect(next.issuedAt).toBeGreaterThanOrEqual(current.issuedAt);
          current = next;
        }
      }),
    );
  });
});

describe("changing", () => {
  test("makes no new version if nothing changes", () => {
    const key = keyWith();
    expect(patchKey(key, {})).toBe(key);
    expect(patchKey(key, { name: key.name, disabled: false })).toBe(key);
    expect(revokeKey(revokeKey(key, NOW), NOW + 5).revokedAt).toBe(NOW);
  });

  test("makes the next version if anything changes", () => {
    const key = { ...keyWith({ metadata: "{}" }), version: 4 };
    expect(patchKey(key, { name: "new" })).toStrictEqual({ ...key, name: "new", version: 5 });
    expect(patchKey(key, { disabled: true })).toStrictEqual({ ...key, disabled: true, version: 5 });
    expect(patchKey(key, { metadata: "[]" })).toStrictEqual({ ...key, metadata: "[]", version: 5 });
    expect(revokeKey(key, NOW + 5)).toStrictEqual({ ...key, revokedAt: NOW + 5, version: 5 });
  });

  test("metadata is set, kept and removed", () => {
    const key = patchKey(keyWith(), { metadata: "{}" });
    expect(patchKey(key, { name: "n" }).metadata).toBe("{}");
    expect(patchKey(key, { metadata: null })).not.toHaveProperty("metadata");
  });

  test("the status is the most severe one", () => {
    const key = keyWith();
    const disabled = patchKey(key, { disabled: true });
    expect(statusOf(key, NOW)).toBe("active");
    expect(statusOf(disabled, NOW)).toBe("disabled");
    expect(statusOf(disabled, key.expiresAt)).toBe("expired");
    expect(statusOf(revokeKey(disabled, NOW), key.expiresAt)).toBe("revoked");
  });
});

describe("a stored record", () => {
  test("is decoded as it was encoded, whatever it contains", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 40 });
    fc.assert(
      fc.property(
        text,
        text,
        fc.boolean(),
        fc.boolean(),
        fc.option(fc.nat()),
        (name, owner, disabled, selfService, revokedAt) => {
          const base = {
            ...keyWith({ owner, plan: name, metadata: JSON.stringify({ name }), ttlSeconds: 9 }),
            name,
            disabled,
            selfService,
          };
          const record = revokedAt === null ? base : { ...base, revokedAt };
          expect(decodeRecord(record.keyId, encodeRecord(record))).toEqual(record);
        },
      ),
    );
    const refreshed = refreshKey(keyWith(), requestAt(NOW + 6 * DAY, { idempotency: "d" }));
    if (refreshed.kind !== "minted") throw new Error(refreshed.kind);
    expect(decodeRecord(refreshed.old.keyId, encodeRecord(refreshed.old))).toEqual(refreshed.old);
  });

  test.each([
    "",
    "{}",
    "[]",
    "null",
    '{"v":"1"}',
    encodeRecord(keyWith()).replace('"r":"basic"', '"r":5'),
    "x",
  ])("that is damaged is rejected: %s", (text) => {
    expect(() => decodeRecord("basic_1_x", text)).toThrow();
  });
});
