import { expect, test } from "vitest";
import { changeKey } from "../../src/core/keys/key-administration.ts";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import { registerKey } from "../../src/core/keys/key-registration.ts";
import { refreshByHolder, rotateByOperator } from "../../src/core/keys/key-renewal.ts";
import {
  revokeByHolder,
  revokeFamily,
  revokeIssuedBefore,
  revokeOne,
} from "../../src/core/keys/key-revocation.ts";
import type { CallOrigin } from "../../src/core/keys/operation-audit.ts";
import type { KeyStore } from "../../src/core/keys/ports.ts";
import type { Registry } from "../../src/core/keys/registry.ts";
import { migrateLegacyKey, registerLegacyKey } from "../../src/core/legacy/legacy-keys.ts";
import { setPhase } from "../../src/core/legacy/migration-switch.ts";
import type { StoreUnderTest } from "./key-store-suite.ts";
import { instanceOn, START } from "./key-store-suite.ts";

/** A store whose index of self-service keys can be set back to what an older version left. */
export interface SelfServiceStore extends StoreUnderTest {
  /** Makes these keys count even if they have ended, like an older version. Returns the store as it is opened afterwards. */
  readonly countAgain: (keyIds: readonly string[]) => Promise<KeyStore>;
}

const admin: CallOrigin = { caller: { kind: "admin", id: "test" } };
const anyone: CallOrigin = { caller: { kind: "anonymous", address: "192.0.2.1" } };
/** `guards.self_service_keys` of an instance. */
const CAP = 3;

/** The guarantees of every key store about the limit of self-service keys. */
export function selfServiceSuite(setUp: () => Promise<SelfServiceStore>): void {
  const begin = async () => {
    const under = await setUp();
    const store = await under.open();
    const { clock } = under;
    clock.nowSeconds = START;
    return { under, store, clock, registry: instanceOn(store, clock) };
  };
  const register = async (registry: Registry): Promise<KeyRecord> => {
    const result = await registerKey(registry, { role: "basic", name: "n" }, anyone);
    if (result.kind === "refused") throw new Error(result.reason);
    return result.record;
  };
  const registerLegacy = async (registry: Registry) => {
    const result = await registerLegacyKey(registry, { role: "basic", name: "n" }, anyone);
    if (result.kind === "refused") throw new Error(result.reason);
    return result;
  };
  /** Registers keys until the limit is reached, and returns their number. */
  const remainingIn = async (registry: Registry) => {
    let made = 0;
    for (; made <= CAP; made++) {
      const result = await registerKey(registry, { role: "basic", name: "n" }, anyone);
      if (result.kind === "issued") continue;
      expect(result.reason).toBe("too_many_keys");
      break;
    }
    return made;
  };
  const fill = async (registry: Registry, make = register as (registry: Registry) => Promise<KeyRecord>) => {
    const [first, ...rest] = [await make(registry), await make(registry), await make(registry)];
    expect(await remainingIn(registry)).toBe(0);
    return [first, ...rest] as const;
  };

  type Ending = (registry: Registry, record: KeyRecord) => Promise<unknown>;
  const endings: readonly (readonly [what: string, end: Ending])[] = [
    ["revoked by its holder", (registry, record) => revokeByHolder(registry, record, anyone)],
    ["revoked alone", (registry, { keyId }) => revokeOne(registry, keyId, admin)],
    ["ended with its family", (registry, { family }) => revokeFamily(registry, family, admin)],
  ];
  test.each(endings)(
    "a key that was %s no longer counts, and neither does such a V1 key",
    async (_what, end) => {
      const { registry } = await begin();
      const [first] = await fill(registry);
      await end(registry, first);
      const legacy = (await registerLegacy(registry)).record;
      expect(await remainingIn(registry)).toBe(0);
      await end(registry, legacy);
      expect(await remainingIn(registry)).toBe(1);
    },
  );

  test("revoked V1 keys no longer count", async () => {
    const { registry } = await begin();
    for (const { family } of await fill(registry, async (one) => (await registerLegacy(one)).record))
      await revokeFamily(registry, family, anyone);
    expect(await remainingIn(registry)).toBe(CAP);
  });

  test("keys that were cut off no longer count, and later keys count", async () => {
    for (const subject of [{}, { role: "basic" }]) {
      const { registry, clock } = await begin();
      clock.nowSeconds += 100;
      await revokeIssuedBefore(registry, clock.nowSeconds, {}, admin);
      await fill(registry);
      clock.nowSeconds += 10;
      await revokeIssuedBefore(registry, clock.nowSeconds, subject, admin);
      expect(await remainingIn(registry)).toBe(CAP);
    }
  });

  test("a refreshed or rotated key and its successor count once", async () => {
    const { registry, clock } = await begin();
    const [first, second] = await fill(registry);
    clock.nowSeconds = first.refreshAfter;
    await refreshByHolder(registry, { ...first }, undefined, anyone);
    if (second) await rotateByOperator(registry, second.keyId, undefined, admin);
    expect(await remainingIn(registry)).toBe(0);
    clock.nowSeconds = first.expiresAt;
    // The third key, which was not refreshed.
    expect(await remainingIn(registry)).toBe(1);
  });

  test("a disabled key counts, because it can be enabled again", async () => {
    const { registry } = await begin();
    const [first] = await fill(registry);
    await changeKey(registry, first.keyId, { disabled: true }, admin);
    expect(await remainingIn(registry)).toBe(0);
    await changeKey(registry, first.keyId, { disabled: false }, admin);
    expect(await remainingIn(registry)).toBe(0);
  });

  test("a V1 key and its V2 key count once, and not at all in the phase `removed`", async () => {
    const { registry } = await begin();
    const { key } = await registerLegacy(registry);
    await migrateLegacyKey(registry, key, anyone);
    await registerLegacy(registry);
    await register(registry);
    expect(await remainingIn(registry)).toBe(0);
    await setPhase(registry, "removed", admin);
    expect(await remainingIn(registry)).toBe(2);
    await setPhase(registry, "silent", admin);
    expect(await remainingIn(registry)).toBe(0);
  });

  test("concurrent registrations on two instances do not exceed the limit", async () => {
    const { store, clock, registry } = await begin();
    const [first] = await fill(registry);
    await revokeFamily(registry, first.family, admin);
    const instances = [registry, instanceOn(store, clock)];
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, at) =>
        registerKey(instances[at % 2] ?? registry, { role: "basic", name: "n" }, anyone),
      ),
    );
    expect(results.filter(({ kind }) => kind === "issued")).toHaveLength(1);
  });

  test("ended keys that an older version counted do not use up the limit", async () => {
    const { under, registry, clock } = await begin();
    const { record, key } = await registerLegacy(registry);
    const migrated = await migrateLegacyKey(registry, key, anyone);
    if (migrated.kind !== "issued") throw new Error("not migrated");
    await revokeFamily(registry, record.family, anyone);
    const [alone, refreshed, kept] = await fill(registry);
    await revokeOne(registry, alone.keyId, admin);
    clock.nowSeconds = refreshed?.refreshAfter ?? 0;
    await refreshByHolder(registry, { ...(refreshed ?? alone) }, undefined, anyone);
    const ended = [record.keyId, migrated.record.keyId, alone.keyId, refreshed?.keyId ?? ""];
    const later = await under.countAgain([...ended, kept?.keyId ?? ""]);
    expect(await remainingIn(instanceOn(later, clock))).toBe(1);
    const last = await under.countAgain(ended);
    await last.sweep(clock.nowSeconds, 500);
    expect((await last.count(clock.nowSeconds)).selfService).toBe(CAP);
  });
}
