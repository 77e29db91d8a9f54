import { describe, expect, test } from "vitest";
import type { Held } from "../../../test/support/scripted-registry.ts";
import { admin, KEY, NOW, scriptedRegistry } from "../../../test/support/scripted-registry.ts";
import { NotReplicated } from "./commit.ts";
import type { CommitOutcome } from "./key-change.ts";
import type { KeyRecord } from "./key-record.ts";
import { refreshByHolder, rotateByOperator, rotateByOwner } from "./key-renewal.ts";
import type { CallOrigin } from "./operation-audit.ts";
import type { RegistryDenial } from "./registry-denial.ts";
import { denied } from "./registry-denial.ts";

const HOUR_MS = 3_600_000;
const holder: CallOrigin = { caller: { kind: "holder", id: KEY.keyId }, address: "192.0.2.1" };
const ownerOf = (owner: string, ...roles: readonly string[]): CallOrigin => ({
  caller: { kind: "owner", id: "alice", owner, roles: new Set(roles) },
});
const owner = ownerOf("acme", "contributor");
/** It can be refreshed now. */
const DUE: KeyRecord = { ...KEY, issuedAt: NOW - 500, expiresAt: NOW + 500, refreshAfter: NOW };
const SUCCESSOR = { keyId: "next", at: NOW - 10, notAfter: NOW + 400 };
const NEXT: KeyRecord = { ...KEY, keyId: "next" };
const digestOf = (...parts: readonly string[]) => `digest of ${JSON.stringify(parts)}`;

const holding = (records: readonly KeyRecord[], outcomes?: readonly CommitOutcome[], more: Held = {}) =>
  scriptedRegistry({ records, ...more }, outcomes);

describe("a refresh", () => {
  test("writes the key and its successor together, if the family lives", async () => {
    const { registry, asked } = holding([DUE]);
    const result = await refreshByHolder(registry, DUE, undefined, holder);
    const keyId = `contributor_${NOW}_random1`;
    expect(result).toMatchObject({
      kind: "issued",
      record: { keyId },
      token: `token of ${keyId}`,
      replayed: false,
    });
    expect(asked).toMatchObject([
      {
        put: [
          { keyId: DUE.keyId, version: 2, successor: { keyId, at: NOW, notAfter: DUE.expiresAt } },
          { keyId, family: DUE.family, version: 1 },
        ],
        audit: [{ event: "key_refreshed", outcome: "done", keyId: DUE.keyId }],
      },
    ]);
    expect(asked[0]?.requires).toEqual({ living: DUE });
    expect(asked[0]?.put[0]?.successor).not.toHaveProperty("idempotency");
  });

  test("of a family without an owner is as good as any", async () => {
    const { owner: _, ...own } = DUE;
    const { registry, asked } = holding([own]);
    expect(await refreshByHolder(registry, own, undefined, holder)).toMatchObject({ kind: "issued" });
    expect(asked[0]?.requires).toEqual({ living: own });
  });

  test("with an Idempotency-Key stores the digest of the key and of this", async () => {
    for (const [sent, idempotency] of [
      ["k", digestOf("refresh", DUE.keyId, "k")],
      ["", undefined],
    ] as const) {
      const { registry, asked } = holding([DUE]);
      await refreshByHolder(registry, DUE, sent, holder);
      expect(asked[0]?.put[0]?.successor?.idempotency).toBe(idempotency);
    }
  });

  test("before its time says when", async () => {
    const { registry, asked } = holding([KEY]);
    const early = { ...denied("refresh_too_early"), refreshAfter: KEY.refreshAfter };
    expect(await refreshByHolder(registry, KEY, undefined, holder)).toEqual(early);
    expect(asked).toEqual([]);
  });

  test.each<readonly [what: string, records: readonly KeyRecord[], reason: RegistryDenial]>([
    ["without a record", [], "key_unknown"],
    ["of a role that the policy no longer has", [{ ...DUE, role: "no such" }], "role_unknown"],
    ["of a disabled key", [{ ...DUE, disabled: true }], "key_disabled"],
    ["of an expired key", [{ ...DUE, expiresAt: NOW }], "key_expired"],
  ])("%s is denied, and writes nothing", async (_what, records, reason) => {
    const { registry, asked } = holding(records);
    expect(await refreshByHolder(registry, DUE, undefined, holder)).toEqual(denied(reason));
    expect(asked).toEqual([]);
  });

  test("of a family whose end only this instance knows is denied", async () => {
    const { registry, asked } = holding([DUE]);
    registry.view.apply([{ kind: "family", family: DUE.family, until: NOW + 9 }]);
    expect(await refreshByHolder(registry, DUE, undefined, holder)).toEqual(denied("key_revoked"));
    expect(asked).toEqual([]);
  });

  test("that this instance's view merely restricts follows the record", async () => {
    const { registry } = holding([DUE]);
    const { keyId, expiresAt } = DUE;
    registry.view.apply([{ kind: "key", keyId, version: 1, expiresAt, revoked: false, disabled: true }]);
    expect(await refreshByHolder(registry, DUE, undefined, holder)).toMatchObject({ kind: "issued" });
  });

  test.each<readonly [outcome: CommitOutcome, reason: RegistryDenial]>([
    [{ kind: "ended" }, "key_revoked"],
    [{ kind: "owner_full" }, "too_many_owner_keys"],
  ])("with the outcome %j is denied", async (outcome, reason) => {
    const { registry } = holding([DUE], [outcome]);
    expect(await refreshByHolder(registry, DUE, undefined, holder)).toEqual(denied(reason));
  });

  test("is repeated if another change came first", async () => {
    const { registry, asked } = holding([DUE], [{ kind: "conflict" }]);
    expect(await refreshByHolder(registry, DUE, undefined, holder)).toMatchObject({ kind: "issued" });
    expect(asked).toHaveLength(2);
  });
});

describe("a repeated refresh", () => {
  const old = { ...DUE, successor: { ...SUCCESSOR, idempotency: digestOf("refresh", DUE.keyId, "k") } };

  test("with the same Idempotency-Key returns the successor, if both records are durable", async () => {
    const { registry, asked, confirmed } = holding([old, NEXT]);
    const result = await refreshByHolder(registry, old, "k", holder);
    expect(result).toEqual({ kind: "issued", record: NEXT, token: "token of next", replayed: true });
    expect([asked, confirmed]).toEqual([[], [[old, NEXT]]]);
    const lost = holding([old, NEXT], [], { durable: false });
    await expect(refreshByHolder(lost.registry, old, "k", holder)).rejects.toThrow(NotReplicated);
  });

  test("whose successor the store has lost is denied", async () => {
    const { registry } = holding([old]);
    expect(await refreshByHolder(registry, old, "k", holder)).toEqual(denied("key_unknown"));
  });

  test("without it is denied, and audited once an hour for each key, address and operation", async () => {
    const { registry, asked, passMs } = holding([old, { ...old, keyId: "other" }, NEXT]);
    const again = async (origin: CallOrigin, keyId = old.keyId) => {
      const result = await refreshByHolder(registry, { ...old, keyId }, "other", origin);
      expect(result).toEqual(denied("already_refreshed"));
      return asked.length;
    };
    const from = (address: string): CallOrigin => ({ ...holder, address });
    expect(await again(holder)).toBe(1);
    expect(asked).toMatchObject([
      {
        put: [],
        audit: [
          { event: "key_refreshed", outcome: "refused", reason: "already_refreshed", keyId: old.keyId },
        ],
      },
    ]);
    expect(await again(holder)).toBe(1);
    expect(await again(from("192.0.2.2"))).toBe(2);
    expect(await again(from("2001:db8::1"))).toBe(3);
    // All addresses of a /64 are one client's.
    expect(await again(from("2001:db8::2"))).toBe(3);
    expect(await again(holder, "other")).toBe(4);
    expect(await again({ caller: holder.caller })).toBe(5);
    expect(await again({ caller: holder.caller })).toBe(5);
    expect(await rotateByOperator(registry, old.keyId, 0, { ...admin, address: "192.0.2.1" })).toEqual(
      denied("already_refreshed"),
    );
    expect(asked).toHaveLength(6);
    passMs(HOUR_MS - 1);
    expect(await again(holder)).toBe(6);
    passMs(1);
    expect(await again(holder)).toBe(7);
  });

  test("is audited again if the audit event could not be written", async () => {
    const { registry, asked } = holding([old], [{ kind: "committed", durable: false }]);
    await expect(refreshByHolder(registry, old, "other", holder)).rejects.toThrow(NotReplicated);
    await refreshByHolder(registry, old, "other", holder);
    expect(asked).toHaveLength(2);
  });
});

describe("a rotation by an operator", () => {
  test("needs no due date, and has the overlap that the operator sets, or the role's", async () => {
    for (const [overlap, notAfter] of [
      [0, NOW],
      [60, NOW + 60],
      [undefined, KEY.expiresAt],
    ] as const) {
      const { registry, asked } = holding([KEY]);
      expect(await rotateByOperator(registry, KEY.keyId, overlap, admin)).toMatchObject({ kind: "issued" });
      expect(asked).toMatchObject([
        { put: [{ successor: { notAfter } }, {}], audit: [{ event: "key_rotated" }] },
      ]);
      // Only a holder's overlaps are limited.
      expect(asked[0]?.requires).toEqual({ living: KEY });
    }
  });

  test("by a caller that may not grant the key is denied", async () => {
    const { registry, asked } = holding([KEY]);
    expect(await rotateByOperator(registry, KEY.keyId, 0, holder)).toEqual(denied("grant_refused"));
    expect(asked).toEqual([]);
  });
});

describe("a rotation by an owner", () => {
  test("is limited in its overlap, because a chain of overlaps would make any number of valid keys", async () => {
    for (const [overlapSeconds, isLimited] of [
      [1, true],
      [0, false],
      [undefined, true],
    ] as const) {
      const { registry, asked } = holding([KEY]);
      expect(await rotateByOwner(registry, KEY.keyId, { overlapSeconds }, owner)).toMatchObject({
        kind: "issued",
      });
      const ownedBelow = { owner: "acme", as: "overlap", below: 2 };
      expect(asked[0]?.requires).toEqual({ living: KEY, ...(isLimited && { ownedBelow }) });
      expect(asked[0]?.put[0]?.successor).not.toHaveProperty("idempotency");
      expect(asked[0]?.audit).toMatchObject([{ event: "key_rotated", actor: "owner:alice" }]);
    }
  });

  test("with an Idempotency-Key stores the digest of the owner, the key and this", async () => {
    const { registry, asked } = holding([KEY]);
    await rotateByOwner(registry, KEY.keyId, { idempotencyKey: "k" }, owner);
    expect(asked[0]?.put[0]?.successor?.idempotency).toBe(digestOf("rotate", "acme", KEY.keyId, "k"));
  });

  test.each<readonly [who: string, origin: CallOrigin]>([
    ["another owner", ownerOf("other", "contributor")],
    ["an owner without the role", ownerOf("acme", "basic")],
    ["an operator, whose operation is another one", admin],
  ])("by %s is denied", async (_who, origin) => {
    const { registry, asked } = holding([KEY]);
    expect(await rotateByOwner(registry, KEY.keyId, {}, origin)).toEqual(denied("grant_refused"));
    expect(asked).toEqual([]);
  });
});
