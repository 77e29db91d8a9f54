import { expect, test } from "vitest";
import { rotateByOperator } from "../../src/core/keys/key-renewal.ts";
import { revokeOne } from "../../src/core/keys/key-revocation.ts";
import type { CallOrigin } from "../../src/core/keys/operation-audit.ts";
import { importLegacyKeys } from "../../src/core/legacy/legacy-import.ts";
import { migrateLegacyKey, registerLegacyKey } from "../../src/core/legacy/legacy-keys.ts";
import { setPhase } from "../../src/core/legacy/migration-switch.ts";
import type { StoreUnderTest } from "./key-store-suite.ts";
import { instanceOn, START } from "./key-store-suite.ts";

const DAY = 86_400;
const admin: CallOrigin = { caller: { kind: "admin", id: "test" } };

/** What every key store guarantees of V1 keys. */
export function legacySuite(setUp: () => Promise<StoreUnderTest>): void {
  const begin = async () => {
    const under = await setUp();
    const store = await under.open();
    const { clock } = under;
    return { under, store, clock, registry: instanceOn(store, clock) };
  };
  const entry = (key: string, more: object = {}) => ({ line: 1, key, name: "n", role: "basic", ...more });

  test("a V1 key is found by its hash and by that of its SHA-256, and by the new ones alone once it is hashed anew", async () => {
    const { store, registry } = await begin();
    await importLegacyKeys(registry, [[entry("old")]], admin, false);
    const record = await store.findLegacy(["none", "of old"]);
    if (record === undefined) throw new Error("it is not found");
    expect(await store.findLegacy(["old"])).toEqual(record);
    const outcome = await store.commit({
      nowSeconds: START,
      put: [{ ...record, legacy: { hash: "anew", alias: "of anew" }, version: record.version + 1 }],
      forgetHashes: ["old", "of old"],
      audit: [],
    });
    expect(outcome).toEqual({ kind: "committed" });
    const found = await Promise.all(
      ["anew", "of anew", "old", "of old"].map((hash) => store.findLegacy([hash])),
    );
    expect(found.map((key) => key?.keyId)).toEqual([record.keyId, record.keyId, undefined, undefined]);
  });

  test("exchanges of one V1 key at once, on two instances, are one", async () => {
    const { store, clock, registry } = await begin();
    const issued = await registerLegacyKey(registry, { name: "n", role: "basic" }, admin);
    if (issued.kind === "refused") throw new Error(issued.reason);
    const instances = [registry, instanceOn(store, clock), registry, instanceOn(store, clock)];
    const all = await Promise.all(instances.map((instance) => migrateLegacyKey(instance, issued.key, admin)));
    const ids = all.map((exchanged) =>
      exchanged.kind === "issued" ? exchanged.record.keyId : exchanged.reason,
    );
    expect(new Set(ids)).toEqual(new Set([ids[0]]));
    expect(all.filter((exchanged) => exchanged.kind === "issued" && !exchanged.replayed).length).toBe(1);
  });

  test("the family's age goes on from its first V2 key, however it goes on, and then it is too old", async () => {
    for (const first of ["migrate", "rotate"] as const) {
      const { store, clock, registry } = await begin();
      // Its V1 key is years old: that counts for nothing.
      await importLegacyKeys(registry, [[entry(first, { createdAt: START - 1000 * DAY })]], admin, false);
      const legacyId = (await store.findLegacy([first]))?.keyId ?? "";
      const ways = {
        migrate: () => migrateLegacyKey(registry, first, admin),
        rotate: () => rotateByOperator(registry, legacyId, undefined, admin),
      };
      const ends: number[] = [];
      for (let day = 0; day <= 90; day += 3) {
        clock.nowSeconds = START + day * DAY;
        const issued = await (day === 0 ? ways[first]() : ways.migrate());
        if (issued.kind === "refused") {
          expect([day, issued.reason]).toEqual([90, "family_too_old"]);
          continue;
        }
        ends.push(issued.record.expiresAt);
        // The successor ends: a key that is migrated again must not begin a family of its own.
        await revokeOne(registry, issued.record.keyId, admin);
      }
      expect(Math.max(...ends)).toBe(START + 90 * DAY);
      const last = await ways.migrate();
      expect(last).toMatchObject({ kind: "refused", reason: "family_too_old" });
    }
  });

  test("a V1 key that an operator has replaced gets no V2 key once its overlap is over", async () => {
    const { store, clock, registry } = await begin();
    await importLegacyKeys(registry, [[entry("k")]], admin, false);
    const legacyId = (await store.findLegacy(["k"]))?.keyId ?? "";
    const rotated = await rotateByOperator(registry, legacyId, 60, admin);
    const exchanged = await migrateLegacyKey(registry, "k", admin);
    // Its holder's, not the one that the operator handed out.
    const idOf = (one: typeof exchanged) => (one.kind === "issued" ? one.record.keyId : one.reason);
    expect([exchanged.kind, rotated.kind]).toEqual(["issued", "issued"]);
    expect(idOf(exchanged)).not.toBe(idOf(rotated));
    clock.nowSeconds += 60;
    expect(await migrateLegacyKey(registry, "k", admin)).toMatchObject({
      kind: "refused",
      reason: "key_superseded",
    });
  });

  test("how many V1 keys were used, and how many of those not exchanged, is told by role; the sweep leaves no trace", async () => {
    const { under, store, clock, registry } = await begin();
    const expiresAt = START + 100;
    const entries = [entry("a", { expiresAt }), entry("b"), entry("c"), entry("d", { role: "contributor" })];
    await importLegacyKeys(registry, [entries], admin, false);
    const idOf = async (key: string) => (await store.findLegacy([key]))?.keyId ?? "";
    const [a, b] = [await idOf("a"), await idOf("b")];
    await store.noteUse(
      new Map([
        [a, START + 10],
        [b, START + 20],
      ]),
    );
    const since = [START + 5, START + 15];
    expect(await store.legacyUse("basic", since)).toEqual({
      keys: 3,
      used: [2, 1],
      unmigrated: { keys: 3, used: [2, 1] },
    });
    for (const key of ["b", "c"]) await migrateLegacyKey(registry, key, admin);
    await store.noteUse(new Map([[b, START + 30]]));
    expect(await store.legacyUse("basic", since)).toEqual({
      keys: 3,
      used: [2, 1],
      unmigrated: { keys: 1, used: [1, 0] },
    });
    expect(await store.legacyUse("none", since)).toMatchObject({ keys: 0, used: [0, 0] });
    clock.nowSeconds = START + 101 + 7 * 86_400;
    await store.sweep(clock.nowSeconds, 100);
    expect(await under.traces(a)).toEqual([]);
    expect(await store.findLegacy(["a", "of a"])).toBeUndefined();
    expect(await store.legacyUse("basic", since)).toMatchObject({ keys: 2, unmigrated: { keys: 0 } });
  });

  test("of two steps of the phase from one state one is taken, and the other decides anew", async () => {
    const { under, store, clock, registry } = await begin();
    const [first, second] = [registry, instanceOn(store, clock)];
    await setPhase(first, "deprecated", admin);
    await Promise.all([setPhase(first, "removed", admin), setPhase(second, "active", admin)]);
    const stored = await store.migration();
    expect([stored?.version, stored?.chosen]).toEqual([START * 1000 + 2, true]);
    const late = { from: undefined, to: { phase: "silent", chosen: false, version: 1 } } as const;
    const outcome = await store.commit({ nowSeconds: START, put: [], migration: late, audit: [] });
    expect([outcome, await store.migration()]).toEqual([{ kind: "conflict" }, stored]);
    expect((await under.auditTrail()).length).toBe(3);
  });
}
