import { describe, expect, test } from "vitest";
import { freezeRegistry, MAX_FREEZE_SECONDS, thawRegistry } from "../../src/core/keys/freeze.ts";
import { changeKey } from "../../src/core/keys/key-administration.ts";
import { registerKey } from "../../src/core/keys/key-registration.ts";
import { rotateByOperator } from "../../src/core/keys/key-renewal.ts";
import {
  revokeFamily,
  revokeIssuedBefore,
  revokeOne,
  revokeOwner,
} from "../../src/core/keys/key-revocation.ts";
import type { Registry } from "../../src/core/keys/registry.ts";
import { RegistryFrozen } from "../../src/core/keys/registry-frozen.ts";
import { importLegacyKeys } from "../../src/core/legacy/legacy-import.ts";
import { setPhase } from "../../src/core/legacy/migration-switch.ts";
import { setOverride } from "../../src/core/overrides/override-administration.ts";
import type { StoreUnderTest } from "./key-store-suite.ts";
import { instanceOn, START } from "./key-store-suite.ts";

const admin = { caller: { kind: "admin", id: "test" } } as const;

/** The guarantees of a freeze, on every store. */
export function freezeSuite(setUp: () => Promise<StoreUnderTest>): void {
  const begin = async () => {
    const under = await setUp();
    const registry = instanceOn(await under.open(), under.clock);
    return { under, registry, clock: under.clock, register: () => register(registry) };
  };
  const register = async (registry: Registry) => {
    const made = await registerKey(registry, { role: "contributor", name: "x" }, admin);
    if (made.kind !== "issued") throw new Error(made.reason);
    return made.record;
  };
  const entry = { line: 1, key: "v1", name: "x", role: "basic" } as const;

  describe("a freeze", () => {
    test("stops every change but revocations, and says when it ends", async () => {
      const { registry, clock, under } = await begin();
      const [one, other, third] = [
        await register(registry),
        await register(registry),
        await register(registry),
      ];
      await setPhase(registry, "active", admin);
      expect(await freezeRegistry(registry, 60, admin)).toBe(START + 60);
      clock.nowSeconds += 10;
      const stopped: readonly (() => Promise<unknown>)[] = [
        () => register(registry),
        () => rotateByOperator(registry, one.keyId, undefined, admin),
        () => changeKey(registry, one.keyId, { name: "y" }, admin),
        () => changeKey(registry, one.keyId, { disabled: true }, admin),
        () => importLegacyKeys(registry, [[entry]], admin, false),
        () => setPhase(registry, "gradual", admin),
        () => setPhase(registry, "from-policy", admin),
        () =>
          setOverride(registry, { scope: "owner", subject: "acme" }, { content: { plan: "team" } }, admin),
      ];
      const before = await under.auditTrail();
      for (const change of stopped) {
        const error = await change().catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(RegistryFrozen);
        expect(error).toMatchObject({ retryAfterSeconds: 50 });
      }
      expect(await under.auditTrail()).toEqual(before);
      await revokeOne(registry, one.keyId, admin);
      await revokeOne(registry, "contributor_1_withoutrecord0000000000", admin, true);
      await revokeFamily(registry, other.family, admin);
      await revokeOwner(registry, third.family, admin);
      await revokeIssuedBefore(registry, START - 60, { role: "basic" }, admin);
      for (const { keyId, family, role, issuedAt, expiresAt } of [one, other, third])
        expect(
          registry.view.endReason(
            { ...one, keyId, family, role, issuedAt, expiresAt },
            clock.nowSeconds * 1000,
          ),
        ).toBe("key_revoked");
    });

    test("ends by itself, after ten minutes at most", async () => {
      const { registry, clock } = await begin();
      await freezeRegistry(registry, 86_400, admin);
      clock.nowSeconds = START + MAX_FREEZE_SECONDS - 1;
      await expect(register(registry)).rejects.toThrow(RegistryFrozen);
      expect(await registry.store.frozenUntil(clock.nowSeconds)).toBe(START + MAX_FREEZE_SECONDS);
      clock.nowSeconds++;
      await register(registry);
      expect(await registry.store.frozenUntil(clock.nowSeconds)).toBeUndefined();
    });

    test("ends if the store's clock steps back behind its start, and lasts longer by a smaller step", async () => {
      const { registry, clock } = await begin();
      await freezeRegistry(registry, 600, admin);
      clock.nowSeconds = START + 599;
      await expect(register(registry)).rejects.toMatchObject({ retryAfterSeconds: 1 });
      clock.nowSeconds = START;
      await expect(register(registry)).rejects.toMatchObject({ retryAfterSeconds: 600 });
      clock.nowSeconds = START - 3600;
      await register(registry);
    });

    test("ends at once when an operator thaws the registry, and both are in the audit log", async () => {
      const { registry, under } = await begin();
      await thawRegistry(registry, admin);
      expect(await under.auditTrail()).toEqual([]);
      await freezeRegistry(registry, 30, admin);
      await thawRegistry(registry, admin);
      await register(registry);
      expect(await under.auditTrail()).toMatchObject([
        { event: "registry_frozen", actor: "admin:test", reason: "30s" },
        { event: "registry_thawed", actor: "admin:test" },
        { event: "key_registered" },
      ]);
    });
  });
}
