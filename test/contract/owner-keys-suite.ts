import { expect, test } from "vitest";
import { changeKey } from "../../src/core/keys/key-administration.ts";
import { registerKey } from "../../src/core/keys/key-registration.ts";
import { rotateByOperator, rotateByOwner } from "../../src/core/keys/key-renewal.ts";
import { revokeFamily, revokeIssuedBefore, revokeOne } from "../../src/core/keys/key-revocation.ts";
import type { CallOrigin } from "../../src/core/keys/operation-audit.ts";
import type { Registry } from "../../src/core/keys/registry.ts";
import type { StoreUnderTest } from "./key-store-suite.ts";
import { instanceOn, START } from "./key-store-suite.ts";

const admin: CallOrigin = { caller: { kind: "admin", id: "test" } };
const roles = new Set(["contributor"]);
const holderOf = (owner: string): CallOrigin => ({ caller: { kind: "owner", id: "p", owner, roles } });
const acme = holderOf("acme");

/** The guarantees of every key store about `console.holders.max_keys`, which is 2 on an instance. */
export function ownerKeysSuite(setUp: () => Promise<StoreUnderTest>): void {
  const begin = async () => {
    const under = await setUp();
    const store = await under.open();
    const { clock } = under;
    clock.nowSeconds = START;
    const counted = (owner = "acme") => store.countOwned(owner, clock.nowSeconds, false);
    return { store, clock, counted, registry: instanceOn(store, clock) };
  };
  const create = (registry: Registry, origin: CallOrigin, owner = "acme") =>
    registerKey(registry, { role: "contributor", name: "n", owner }, origin);
  const mustCreate = async (registry: Registry, origin = acme) => {
    const made = await create(registry, origin);
    if (made.kind === "refused") throw new Error(made.reason);
    return made.record;
  };
  const rotate = (registry: Registry, keyId: string, overlapSeconds: number) =>
    rotateByOwner(registry, keyId, { overlapSeconds }, acme);
  const FULL = { kind: "refused", reason: "too_many_owner_keys" };

  test("a holder creates keys up to the maximum of its owner, which operators' keys count for and operators may exceed", async () => {
    const { registry, counted } = await begin();
    await mustCreate(registry, admin);
    const own = await mustCreate(registry);
    expect([await create(registry, acme), await counted()]).toEqual([FULL, 2]);
    expect((await create(registry, holderOf("other"), "other")).kind).toBe("issued");
    await mustCreate(registry, admin);
    expect([await counted(), await counted("other"), await counted("none")]).toEqual([3, 1, 0]);
    await changeKey(registry, own.keyId, { disabled: true }, admin);
    expect(await counted()).toBe(3);
    await revokeOne(registry, own.keyId, acme);
    expect([await create(registry, acme), await counted()]).toEqual([FULL, 2]);
  });

  test("a key that was revoked, or ended with its family, by a cut-off or by its expiry no longer counts", async () => {
    const { registry, clock, counted } = await begin();
    const [first, second] = [await mustCreate(registry), await mustCreate(registry)];
    await revokeOne(registry, first.keyId, acme);
    const third = await mustCreate(registry);
    await revokeFamily(registry, second.family, admin);
    await revokeFamily(registry, third.family, admin);
    expect(await counted()).toBe(0);
    await mustCreate(registry);
    await mustCreate(registry);
    expect(await create(registry, acme)).toEqual(FULL);
    clock.nowSeconds += 10;
    await revokeIssuedBefore(registry, clock.nowSeconds, { owner: "acme" }, admin);
    clock.nowSeconds += 10;
    const [last] = [await mustCreate(registry), await mustCreate(registry)];
    expect([await create(registry, acme), await counted()]).toEqual([FULL, 2]);
    clock.nowSeconds = last.expiresAt;
    expect(await counted()).toBe(0);
    await mustCreate(registry);
  });

  test("concurrent registrations on two instances, with a rotation, do not exceed the maximum", async () => {
    const { store, clock, registry, counted } = await begin();
    const first = await mustCreate(registry);
    const instances = [registry, instanceOn(store, clock)];
    const [rotated, ...made] = await Promise.all([
      rotate(registry, first.keyId, 60),
      ...Array.from({ length: 12 }, (_, at) => create(instances[at % 2] ?? registry, acme)),
    ]);
    expect(rotated.kind).toBe("issued");
    expect(made.filter(({ kind }) => kind === "issued")).toHaveLength(1);
    expect(await counted()).toBe(2);
  });

  test("a holder with the maximum of keys rotates each, but no chain of rotations makes more overlaps than the maximum", async () => {
    const { registry, clock, counted } = await begin();
    const keys = [await mustCreate(registry), await mustCreate(registry)];
    let last = "";
    for (const { keyId } of keys) {
      const next = await rotate(registry, keyId, 3600);
      if (next.kind === "refused") throw new Error(next.reason);
      last = next.record.keyId;
    }
    expect([await rotate(registry, last, 3600), await counted()]).toEqual([FULL, 2]);
    // Without an overlap there is one valid key as before.
    const next = await rotate(registry, last, 0);
    if (next.kind === "refused") throw new Error(next.reason);
    expect(await rotate(registry, next.record.keyId, 60)).toEqual(FULL);
    expect((await rotateByOperator(registry, next.record.keyId, 60, admin)).kind).toBe("issued");
    clock.nowSeconds += 3600;
    const [other] = keys;
    await revokeFamily(registry, other?.family ?? "", admin);
    const again = await mustCreate(registry);
    expect((await rotate(registry, again.keyId, 60)).kind).toBe("issued");
  });
}
