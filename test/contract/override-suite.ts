import { describe, expect, test } from "vitest";
import type { OverrideChange } from "../../src/core/keys/key-change.ts";
import type { CallOrigin } from "../../src/core/keys/operation-audit.ts";
import type { OverrideSubject } from "../../src/core/overrides/override.ts";
import { KEEP_CLEARED_SECONDS } from "../../src/core/overrides/override.ts";
import { clearOverride, setOverride } from "../../src/core/overrides/override-administration.ts";
import { createInstanceView } from "../../src/core/revocation/instance-view.ts";
import type { StoreUnderTest } from "./key-store-suite.ts";
import { instanceOn, START } from "./key-store-suite.ts";

const admin: CallOrigin = { caller: { kind: "admin", id: "test" } };
const acme = { scope: "owner", subject: "acme" } as const;
const family = { scope: "family", subject: "fam_0123456789abcdefghijkl" } as const;
const TEAM = { content: { plan: "team" } } as const;

/** The guarantees of every store about overrides. */
export function overrideSuite(setUp: () => Promise<StoreUnderTest>): void {
  const begin = async () => {
    const under = await setUp();
    const store = await under.open();
    const { clock } = under;
    const loaded = async () => {
      const view = createInstanceView();
      for await (const portion of store.viewEntries()) view.apply(portion);
      return view;
    };
    return { under, store, clock, loaded, registry: instanceOn(store, clock) };
  };

  describe("an override", () => {
    test("is found as it was set, applies on its instance at once, and is in the snapshot", async () => {
      const { store, registry, loaded } = await begin();
      const content = { plan: "team", note: 'Größe "1"\\ – ticket' };
      await setOverride(registry, acme, { content, expiresAt: START + 60 }, admin);
      await setOverride(registry, family, TEAM, admin);
      const stored = { kind: "override", ...acme, version: START * 1000, content, expiresAt: START + 60 };
      expect(await store.findOverride(acme)).toEqual(stored);
      expect(registry.view.overrides.entryOf(acme)).toEqual(stored);
      const view = await loaded();
      expect(view.overrides.entryOf(acme)).toEqual(stored);
      expect(view.overrides.entryOf(family)?.content).toEqual(TEAM.content);
      expect(await store.findOverride({ scope: "family", subject: "acme" })).toBeUndefined();
    });

    test("gets a higher version with every change, within one millisecond and after the clock steps back", async () => {
      const { store, registry, clock } = await begin();
      const versions: number[] = [];
      for (const step of [0, 0, -5, -5, 30]) {
        clock.nowSeconds += step;
        await setOverride(registry, acme, TEAM, admin);
        versions.push((await store.findOverride(acme))?.version ?? 0);
      }
      const first = START * 1000;
      expect(versions).toEqual([first, first + 1, first + 2, first + 3, first + 20_000]);
    });

    test("gets a version above the one that its instance knows, although the store has lost that", async () => {
      const { store, registry } = await begin();
      const ahead = (START + 500) * 1000;
      registry.view.apply([{ kind: "override", ...acme, version: ahead, content: { plan: "gone" } }]);
      await setOverride(registry, acme, TEAM, admin);
      expect((await store.findOverride(acme))?.version).toBe(ahead + 1);
    });

    test("that another change has replaced in between is a conflict, and nothing is written", async () => {
      const { store, clock, registry, under } = await begin();
      await setOverride(registry, acme, TEAM, admin);
      const before = [await store.findOverride(acme), await under.auditTrail()];
      for (const replaces of [0, 1, START * 1000 + 1]) {
        const override: OverrideChange = { kind: "override", ...acme, replaces, above: 0, below: 9 };
        const change = { nowSeconds: clock.nowSeconds, put: [], override, audit: [] };
        expect(await store.commit(change)).toEqual({ kind: "conflict" });
      }
      expect([await store.findOverride(acme), await under.auditTrail()]).toEqual(before);
    });

    test("of two changes that are based on the same override one is made, and the other is denied", async () => {
      const { store, clock, registry, under } = await begin();
      const second = { ...instanceOn(store, clock), view: registry.view };
      const both = async (seen: number) => {
        const results = await Promise.all([
          setOverride(registry, acme, TEAM, admin, seen),
          clearOverride(second, acme, admin, seen),
        ]);
        return results.map((result) => (result === "done" ? result : result.reason)).sort();
      };
      await setOverride(registry, acme, TEAM, admin, 0);
      expect(await both(START * 1000)).toEqual(["changed_meanwhile", "done"]);
      expect((await under.auditTrail()).length).toBe(2);
      // One that has expired, or was cleared, is none.
      await setOverride(registry, acme, { ...TEAM, expiresAt: START + 60 }, admin);
      clock.nowSeconds = START + 60;
      const stored = await store.findOverride(acme);
      expect(await clearOverride(registry, acme, admin, stored?.version)).not.toBe("done");
      expect(await setOverride(registry, acme, TEAM, admin, 0)).toBe("done");
      await clearOverride(registry, acme, admin);
      expect(await setOverride(registry, acme, TEAM, admin, 0)).toBe("done");
    });

    test("is protected by the newest one, which the store or the instance alone may know", async () => {
      const { store, registry } = await begin();
      const role = registry.policy().roles.values().next().value ?? expect.fail("there is a role");
      const seller: CallOrigin = { caller: { kind: "key", id: "k", role, scopes: ["limits:write"] } };
      const version = START * 1000 - 1;
      const team = { kind: "override", ...acme, version, ...TEAM } as const;
      await setOverride(registry, acme, TEAM, admin);
      await clearOverride(registry, acme, admin);
      const stale = { ...registry, view: createInstanceView() };
      stale.view.apply([team]);
      // It was cleared since, which this instance has not received yet.
      expect(await clearOverride(stale, acme, seller)).toBe("done");
      const of = { scope: "owner", subject: "lost" } as const;
      stale.view.apply([{ ...team, ...of }]);
      expect(await clearOverride(stale, of, seller)).toMatchObject({ reason: "override_protected" });
      expect(await store.findOverride(of)).toBeUndefined();
      expect(await clearOverride(stale, of, admin)).toBe("done");
    });

    test("of another subject is denied at the maximum number, and one that exists can be changed", async () => {
      const { store, clock, registry } = await begin();
      await setOverride(registry, acme, TEAM, admin);
      const commit = (of: OverrideSubject, below: number) => {
        const replaces = of.subject === "acme" ? START * 1000 : 0;
        const override: OverrideChange = { kind: "override", ...of, ...TEAM, replaces, above: 0, below };
        return store.commit({ nowSeconds: clock.nowSeconds, put: [], override, audit: [] });
      };
      expect(await commit(family, 1)).toEqual({ kind: "too_many_overrides" });
      expect(await store.findOverride(family)).toBeUndefined();
      expect(await commit(acme, 1)).toMatchObject({ kind: "committed" });
      expect(await commit(family, 2)).toMatchObject({ kind: "committed" });
    });

    test("that is cleared leaves an entry that replaces it, also if the store has none", async () => {
      const { store, registry, loaded } = await begin();
      await setOverride(registry, acme, TEAM, admin);
      await clearOverride(registry, acme, admin);
      await clearOverride(registry, family, admin);
      expect(await store.findOverride(acme)).toEqual({
        kind: "override",
        ...acme,
        version: START * 1000 + 1,
      });
      const view = await loaded();
      for (const of of [acme, family]) {
        expect(view.overrides.entryOf(of)).toBeDefined();
        expect(view.overrides.inForce(of.scope, of.subject, START * 1000)).toBeUndefined();
      }
    });

    test("is swept 30 days after it was cleared or has expired, and kept until then and while it applies", async () => {
      const { store, registry, clock, loaded } = await begin();
      const subjects = ["cleared", "expired", "lasting", "set-again"] as const;
      const of = (subject: string) => ({ scope: "owner", subject }) as const;
      for (const subject of subjects) await setOverride(registry, of(subject), TEAM, admin);
      await setOverride(registry, of("expired"), { ...TEAM, expiresAt: START + 100 }, admin);
      for (const subject of ["cleared", "set-again"]) await clearOverride(registry, of(subject), admin);
      await setOverride(registry, of("set-again"), TEAM, admin);
      const keptAt = async (seconds: number) => {
        clock.nowSeconds = seconds;
        await store.sweep(seconds, 100);
        return [...(await loaded()).overrides.entries()].map(({ subject }) => subject).sort();
      };
      expect(await keptAt(START + KEEP_CLEARED_SECONDS - 1)).toEqual([...subjects].sort());
      expect(await keptAt(START + KEEP_CLEARED_SECONDS)).toEqual(["expired", "lasting", "set-again"]);
      expect(await keptAt(START + 100 + KEEP_CLEARED_SECONDS)).toEqual(["lasting", "set-again"]);
      expect(await keptAt(START + 100 * KEEP_CLEARED_SECONDS)).toEqual(["lasting", "set-again"]);
    });
  });
}
