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

/** The guarantees of every key store about V1 keys. */
export function legacySuite(setUp: () => Promise<StoreUnderTest>): void {
  const begin = async () => {
    const under = await setUp();
    const store = await under.open();
    const { clock } = under;
    return { under, store, clock, registry: instanceOn(store, clock) };
  };
  const entry = (key: string, more: object = {}) => ({ line: 1, key, name: "n", role: "basic", ...more });

  test("a V1 key is found by its hash and by that of its SHA-256, and only by the new hashes after it was rehashed", async () => {
    const { store, registry } = await begin();
    await importLegacyKeys(registry, [[entry("old")]], admin, false);
    const record = await store.findLegacy(["none", "of old"]);
    if (record === undefined) throw new Error("the key is not found");
    expect(await store.findLegacy(["old"])).toEqual(record);
    const outcome = await store.commit({
      nowSeconds: START,
      put: [{ ...record, legacy: { hash: "rehashed", alias: "of rehashed" }, version: record.version + 1 }],
      forgetHashes: ["old", "of old"],
      audit: [],
    });
    expect(outcome).toEqual({ kind: "committed" });
    const found = await Promise.all(
      ["rehashed", "of rehashed", "old", "of old"].map((hash) => store.findLegacy([hash])),
    );
    expect(found.map((key) => key?.keyId)).toEqual([record.keyId, record.keyId, undefined, undefined]);
  });

  test("concurrent exchanges of one V1 key on two instances make one V2 key", async () => {
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

  test("the family's age counts from its first V2 key, by exchange or rotation, until the family is too old", async () => {
    for (const first of ["migrate", "rotate"] as const) {
      const { store, clock, registry } = await begin();
      // The age of the V1 key does not count.
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
        // The successor ends. A key that is exchanged again must stay in the same family.
        await revokeOne(registry, issued.record.keyId, admin);
      }
      expect(Math.max(...ends)).toBe(START + 90 * DAY);
      const last = await ways.migrate();
      expect(last).toMatchObject({ kind: "refused", reason: "family_too_old" });
    }
  });

  test("a V1 key that an operator has rotated cannot be exchanged after its overlap", async () => {
    const { store, clock, registry } = await begin();
    await importLegacyKeys(registry, [[entry("k")]], admin, false);
    const legacyId = (await store.findLegacy(["k"]))?.keyId ?? "";
    const rotated = await rotateByOperator(registry, legacyId, 60, admin);
    const exchanged = await migrateLegacyKey(registry, "k", admin);
    // The holder gets another key than the operator.
    const idOf = (one: typeof exchanged) => (one.kind === "issued" ? one.record.keyId : one.reason);
    expect([exchanged.kind, rotated.kind]).toEqual(["issued", "issued"]);
    expect(idOf(exchanged)).not.toBe(idOf(rotated));
    clock.nowSeconds += 60;
    expect(await migrateLegacyKey(registry, "k", admin)).toMatchObject({
      kind: "refused",
      reason: "key_superseded",
    });
  });

  test("used and unmigrated V1 keys are counted by role, and the sweep leaves no trace", async () => {
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

  test("of two switches that are based on the same phase one is made, and the other is denied", async () => {
    const { under, store, clock, registry } = await begin();
    const second = instanceOn(store, clock);
    const results = await Promise.all([
      setPhase(registry, "active", admin, "silent"),
      setPhase(second, "removed", admin, "silent"),
    ]);
    const isFirst = results[0] === "done";
    expect(results[isFirst ? 1 : 0]).toEqual({ kind: "refused", reason: "changed_meanwhile" });
    // The instance that denies a switch knows the phase that is in force.
    const denying = isFirst ? second : registry;
    expect(denying.migration.state().phase).toBe(isFirst ? "active" : "removed");
    expect((await store.migration())?.phase).toBe(isFirst ? "active" : "removed");
    expect((await under.auditTrail()).length).toBe(1);
    expect(await setPhase(denying, "gradual", admin, denying.migration.state().phase)).toBe("done");
    expect(await setPhase(denying, "silent", admin, "removed")).not.toBe("done");
    expect((await store.migration())?.phase).toBe("gradual");
  });

  test("of two steps from the same phase one is written, and the other is decided again", async () => {
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
