import { describe, expect, test } from "vitest";
import { changeKey } from "../../src/core/keys/key-administration.ts";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import { NEVER } from "../../src/core/keys/key-record.ts";
import { registerKey } from "../../src/core/keys/key-registration.ts";
import { revokeIssuedBefore, revokeOne, revokeOwner } from "../../src/core/keys/key-revocation.ts";
import type { CallOrigin } from "../../src/core/keys/operation-audit.ts";
import type { Registry } from "../../src/core/keys/registry.ts";
import { importLegacyKeys } from "../../src/core/legacy/legacy-import.ts";
import { migrateLegacyKey, registerLegacyKey } from "../../src/core/legacy/legacy-keys.ts";
import { createInstanceView } from "../../src/core/revocation/instance-view.ts";
import { cutOffHistories } from "./cut-off-histories.ts";
import type { StoreUnderTest } from "./key-store-suite.ts";
import { instanceOn, START } from "./key-store-suite.ts";

const admin: CallOrigin = { caller: { kind: "admin", id: "test" } };
const DAY = 86_400;

async function register(registry: Registry, more: object = {}) {
  const result = await registerKey(registry, { role: "contributor", name: "n", ...more }, admin);
  if (result.kind === "refused") throw new Error(result.reason);
  return result.record;
}

/** The guarantees of every key store about time: its own clock dates everything. */
export function clockSuite(setUp: () => Promise<StoreUnderTest>): void {
  const begin = async () => {
    const under = await setUp();
    const store = await under.open();
    return { under, store, clock: under.clock, registry: instanceOn(store, under.clock) };
  };

  describe("the store's clock", () => {
    cutOffHistories(setUp);

    test("rejects a change that was decided at another time, and returns its own time", async () => {
      const { store, under } = await begin();
      for (const off of [-1000 * DAY, -3, 3, 1000 * DAY]) {
        const outcome = await store.commit({ nowSeconds: START + off, put: [], audit: [] });
        expect(outcome).toEqual({ kind: "clock", nowMs: START * 1000 });
      }
      expect(await under.auditTrail()).toEqual([]);
    });

    test("dates the writes of an instance with another clock", async () => {
      const { store, clock } = await begin();
      for (const offMs of [-90_000, 90_000]) {
        const own = instanceOn(store, clock);
        let storeMs = START * 1000 + offMs;
        const registry: Registry = {
          ...own,
          storeClock: {
            storeNowMs: () => storeMs,
            applyStoreTime(nowMs) {
              storeMs = nowMs;
            },
          },
        };
        expect(await register(registry)).toMatchObject({ issuedAt: START, familyStartedAt: START });
      }
    });

    test("a cut-off of now is later than every issue date, even if the clock has stepped back", async () => {
      const { store, clock, registry } = await begin();
      const owned = await register(registry, { owner: "acme" });
      clock.nowSeconds = START - 100;
      const cutOff = { kind: "cutoff", scope: "owner", subject: "acme", until: START + DAY } as const;
      const early = await store.commit({
        nowSeconds: START - 100,
        put: [],
        end: { ...cutOff, before: START - 99 },
        requires: { beyondIssued: true },
        audit: [],
      });
      expect(early).toEqual({ kind: "early", before: START + 1 });
      await revokeOwner(registry, "acme", admin);
      expect(registry.view.endReason(owned, START * 1000)).toBe("key_revoked");
    });

    test("a new key is dated behind a cut-off that the store has lost and this instance knows", async () => {
      const { registry } = await begin();
      registry.view.apply([
        { kind: "cutoff", scope: "owner", subject: "acme", before: START + 2, until: START + DAY },
        { kind: "cutoff", scope: "role", subject: "basic", before: START + 3, until: START + DAY },
      ]);
      const key = await register(registry, { owner: "acme" });
      const legacy = await registerLegacyKey(registry, { role: "basic", name: "n" }, admin);
      if (legacy.kind === "refused") throw new Error(legacy.reason);
      for (const record of [key, legacy.record])
        expect(registry.view.endReason(record, START * 1000)).toBeUndefined();
    });

    test("of repeated keys and owner ends in one second, each end revokes every earlier key, and every later key is valid", async () => {
      const { registry } = await begin();
      const made: KeyRecord[] = [];
      for (let round = 0; round < 3; round++) {
        const record = await register(registry, { owner: "acme" });
        expect(registry.view.endReason(record, START * 1000)).toBeUndefined();
        made.push(record);
        await revokeOwner(registry, "acme", admin);
        for (const record of made) expect(registry.view.endReason(record, START * 1000)).toBe("key_revoked");
      }
    });

    test("any number of owners can be ended and get new keys within a second, and the incident switch then revokes all of them", async () => {
      const { registry, store } = await begin();
      const made: KeyRecord[] = [];
      for (let at = 0; at < 8; at++) {
        const owner = `owner-${at}`;
        const old = await register(registry, { owner });
        await revokeOwner(registry, owner, admin);
        expect(registry.view.endReason(old, START * 1000)).toBe("key_revoked");
        made.push(await register(registry, { owner }));
        const entry = { line: 1, key: `imported ${at}`, name: "n", role: "contributor", owner };
        expect(await importLegacyKeys(registry, [[entry]], admin, false)).toMatchObject({ imported: 1 });
        const imported = await store.findLegacy([`imported ${at}`]);
        if (imported !== undefined) made.push(imported);
      }
      const ended = () => made.map((record) => registry.view.endReason(record, START * 1000));
      expect(ended()).toEqual(Array(16).fill(undefined));
      await revokeIssuedBefore(registry, START, { role: "contributor" }, admin);
      expect(ended()).toEqual(Array(16).fill("key_revoked"));
      // Other roles and owners are not dated ahead.
      expect(await register(registry, { role: "basic" })).toMatchObject({ issuedAt: START });
    });

    test("an imported key is not dated further ahead than a registered one, so that its successor is valid", async () => {
      const { registry, store, clock } = await begin();
      const one = (key: string) => ({ line: 1, key, name: "n", role: "basic", owner: "acme" });
      const rejected: unknown[] = [];
      for (let round = 0; round < 8; round++) {
        const report = await importLegacyKeys(registry, [[one(`key ${round}`)]], admin, false);
        rejected.push(...report.refused);
        await revokeOwner(registry, "acme", admin);
      }
      expect(rejected.at(-1)).toEqual({ line: 1, detail: expect.stringContaining("later") });
      clock.nowSeconds += 8;
      expect(await importLegacyKeys(registry, [[one("later")]], admin, false)).toMatchObject({ imported: 1 });
      const record = await store.findLegacy(["later"]);
      expect(record && registry.view.endReason(record, clock.nowSeconds * 1000)).toBeUndefined();
      expect(await register(registry, { owner: "acme" })).toMatchObject({ issuedAt: clock.nowSeconds });
    });

    test("an owner's end and the incident switch revoke what another issuer has issued since the previous one", async () => {
      const { clock, registry } = await begin();
      // The store does not know the dates of these tokens.
      const tokenOf = (sub: string) => ({
        keyId: `corp:${sub}-${clock.nowSeconds}`,
        family: `corp:${sub}`,
        owner: `corp:${sub}`,
        role: "basic",
        scopes: [],
        name: sub,
        issuedAt: clock.nowSeconds,
        expiresAt: clock.nowSeconds + DAY,
        refreshAfter: NEVER,
        issuer: "corp",
      });
      const ends: readonly (readonly [sub: string, end: () => Promise<unknown>])[] = [
        ["alice", () => revokeOwner(registry, "corp:alice", admin)],
        ["bob", () => revokeIssuedBefore(registry, clock.nowSeconds, { role: "basic" }, admin)],
        ["carol", () => revokeIssuedBefore(registry, clock.nowSeconds, {}, admin)],
      ];
      for (const [sub, end] of ends) {
        for (let round = 0; round < 3; round++) {
          const token = tokenOf(sub);
          expect(registry.view.endReason(token, clock.nowSeconds * 1000)).toBeUndefined();
          await end();
          expect(registry.view.endReason(token, clock.nowSeconds * 1000)).toBe("key_revoked");
          clock.nowSeconds++;
        }
      }
    });

    test("an explicit moment of the last seconds revokes every existing key, and an earlier one is exact", async () => {
      const { clock, registry } = await begin();
      const old = await register(registry);
      clock.nowSeconds += 60;
      const [fresh, legacy] = [
        await register(registry),
        await registerLegacyKey(registry, { name: "n", role: "contributor" }, admin),
      ];
      if (legacy.kind === "refused") throw new Error(legacy.reason);
      const ended = () =>
        [old, fresh, legacy.record].map((record) => registry.view.endReason(record, START * 1000));
      await revokeIssuedBefore(registry, START + 30, {}, admin);
      expect(ended()).toEqual(["key_revoked", undefined, undefined]);
      await revokeIssuedBefore(registry, START + 58, {}, admin);
      expect(ended()).toEqual(["key_revoked", "key_revoked", "key_revoked"]);
    });

    test("an owner's end revokes the V1 keys of its second without a successor, and later V1 keys are valid", async () => {
      const { registry, store, clock } = await begin();
      const entry = (key: string) => ({ line: 1, key, name: "n", role: "basic", owner: "acme" });
      await importLegacyKeys(registry, [[entry("before")]], admin, false);
      await revokeOwner(registry, "acme", admin);
      await importLegacyKeys(registry, [[entry("after")]], admin, false);
      const ended = await Promise.all(
        ["before", "after"].map(async (key) => {
          const record = await store.findLegacy([key]);
          return record && registry.view.endReason(record, START * 1000);
        }),
      );
      expect(ended).toEqual(["key_revoked", undefined]);
      // An instance that has not received the end.
      const unaware = instanceOn(store, clock);
      expect(await migrateLegacyKey(unaware, "before", admin)).toMatchObject({ reason: "key_revoked" });
      const next = await migrateLegacyKey(unaware, "after", admin);
      if (next.kind === "refused") throw new Error(next.reason);
      expect(registry.view.endReason(next.record, START * 1000)).toBeUndefined();
    });
  });

  describe("the sweep", () => {
    test("uses the store's clock if an instance's clock is ahead", async () => {
      const { store, registry } = await begin();
      const record = await register(registry);
      await revokeOne(registry, record.keyId, admin);
      expect(await store.sweep(START + 1000 * DAY, 100)).toBe(0);
      const fresh = createInstanceView();
      for await (const portion of store.viewEntries()) fresh.apply(portion);
      expect(fresh.endReason(record, START * 1000)).toBe("key_revoked");
      expect(await store.load(record.keyId)).toBeDefined();
    });

    test("makes no revoked key valid again after the clock steps back", async () => {
      const { store, clock, registry } = await begin();
      const record = await register(registry, { ttlSeconds: 60 });
      await revokeOne(registry, record.keyId, admin);
      clock.nowSeconds = START + 61;
      await store.sweep(START + 61, 100);
      clock.nowSeconds = START;
      const fresh = createInstanceView();
      for await (const portion of store.viewEntries()) fresh.apply(portion);
      expect(fresh.endReason(record, START * 1000)).not.toBeUndefined();
    });
  });

  test("a key without a record is revoked by its id on request, also for an instance that starts later", async () => {
    const { store, clock, registry } = await begin();
    const lost = { ...(await register(registry)), keyId: "contributor_1_lost00000000000000000" };
    expect(await revokeOne(registry, lost.keyId, admin)).toMatchObject({ reason: "key_unknown" });
    expect(await revokeOne(registry, lost.keyId, admin, true)).toEqual({ kind: "done", replayed: false });
    const fresh = createInstanceView();
    for await (const portion of store.viewEntries()) fresh.apply(portion);
    expect(fresh.endReason(lost, clock.nowSeconds * 1000)).toBe("key_revoked");
  });

  test("each change of a key is dated later than the one before, within one second and after a step back", async () => {
    const { store, clock, registry } = await begin();
    const { keyId } = await register(registry);
    const dates: number[] = [];
    for (const disabled of [true, false, true, false]) {
      await changeKey(registry, keyId, { disabled }, admin);
      dates.push((await store.load(keyId))?.changedAt ?? 0);
      clock.nowSeconds -= 1;
    }
    expect(dates).toEqual([...dates].sort((a, b) => a - b));
    expect(new Set(dates).size).toBe(4);
    expect(registry.view.standing(keyId)).toMatchObject({ disabled: false, version: dates.at(-1) });
  });
}
