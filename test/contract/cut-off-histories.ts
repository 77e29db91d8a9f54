import fc from "fast-check";
import { expect, test } from "vitest";
import type { Issued } from "../../src/core/keys/issued-key.ts";
import type { KeyRecord } from "../../src/core/keys/key-record.ts";
import { registerKey } from "../../src/core/keys/key-registration.ts";
import { rotateByOperator } from "../../src/core/keys/key-renewal.ts";
import { revokeIssuedBefore, revokeOwner } from "../../src/core/keys/key-revocation.ts";
import type { CallOrigin } from "../../src/core/keys/operation-audit.ts";
import type { Registry } from "../../src/core/keys/registry.ts";
import type { DeniedOperation } from "../../src/core/keys/registry-denial.ts";
import { importLegacyKeys } from "../../src/core/legacy/legacy-import.ts";
import { migrateLegacyKey, registerLegacyKey } from "../../src/core/legacy/legacy-keys.ts";
import type { InstanceView } from "../../src/core/revocation/instance-view.ts";
import { createInstanceView } from "../../src/core/revocation/instance-view.ts";
import type { StoreUnderTest } from "./key-store-suite.ts";
import { instanceOn } from "./key-store-suite.ts";

const admin: CallOrigin = { caller: { kind: "admin", id: "test" } };

const step = fc.record({
  what: fc.constantFrom("register", "v1", "import", "rotate", "migrate", "owner", "role", "all", "tick"),
  owner: fc.constantFrom("a", "b", undefined),
  role: fc.constantFrom("basic", "contributor"),
  ticks: fc.constantFrom(-3, 1, 1, 2),
  /** The index of an earlier key. */
  pick: fc.nat(50),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

interface MadeKey {
  readonly record: KeyRecord;
  /** The V1 key, with which it can be exchanged. */
  readonly v1?: string;
  ended: boolean;
}

function madeOf(result: Issued | DeniedOperation): readonly MadeKey[] {
  return result.kind === "issued" ? [{ record: result.record, ended: false }] : [];
}

/** Makes the keys of a step. */
async function make(
  registry: Registry,
  { what, owner, role }: Step,
  one?: MadeKey,
): Promise<readonly MadeKey[]> {
  const own = owner === undefined ? {} : { owner };
  if (what === "register") return madeOf(await registerKey(registry, { role, name: "n", ...own }, admin));
  if (what === "rotate" && one !== undefined)
    return madeOf(await rotateByOperator(registry, one.record.keyId, 1000, admin));
  if (what === "migrate" && one?.v1 !== undefined)
    return madeOf(await migrateLegacyKey(registry, one.v1, admin));
  if (what === "v1") {
    const result = await registerLegacyKey(registry, { name: "n", role }, admin);
    return result.kind === "refused" ? [] : [{ record: result.record, v1: result.key, ended: false }];
  }
  if (what !== "import") return [];
  const v1 = registry.newRandom();
  await importLegacyKeys(registry, [[{ line: 1, key: v1, name: "n", role, ...own }]], admin, false);
  const record = await registry.store.findLegacy([v1]);
  return record === undefined ? [] : [{ record, v1, ended: false }];
}

/** Ends the keys of a step. Returns which keys it concerns; undefined if none. */
async function end(registry: Registry, { what, owner, role }: Step, nowSeconds: number) {
  if (what === "owner" && owner !== undefined) {
    await revokeOwner(registry, owner, admin);
    return (record: KeyRecord) => record.owner === owner;
  }
  if (what === "role") {
    await revokeIssuedBefore(registry, nowSeconds, { role }, admin);
    return (record: KeyRecord) => record.role === role;
  }
  if (what !== "all") return undefined;
  await revokeIssuedBefore(registry, nowSeconds, {}, admin);
  return () => true;
}

async function viewOf({ store }: Registry): Promise<InstanceView> {
  const view = createInstanceView();
  for await (const portion of store.viewEntries()) view.apply(portion);
  return view;
}

/** The guarantees of cut-offs for any order of new keys and ends, and any steps of the store's clock. */
export function cutOffHistories(setUp: () => Promise<StoreUnderTest>): void {
  test("an end revokes every key that was made before it and none that was made later, in any order, and however the clock steps", async () => {
    const history = fc.array(step, { minLength: 5, maxLength: 30 });
    const holds = fc.asyncProperty(history, async (steps) => {
      const { open, clock } = await setUp();
      const registry = instanceOn(await open(), clock);
      const made: MadeKey[] = [];
      for (const one of steps) {
        if (one.what === "tick") clock.nowSeconds += one.ticks;
        try {
          made.push(...(await make(registry, one, made[one.pick % Math.max(1, made.length)])));
        } catch (error) {
          // The only reason not to make a key.
          expect(String(error)).toContain("further ahead than a new key may be dated");
        }
        const isEnded = await end(registry, one, clock.nowSeconds);
        for (const key of made) key.ended ||= isEnded?.(key.record) ?? false;
        for (const view of [registry.view, await viewOf(registry)])
          expect(
            made.map(({ record }) => view.endReason(record, clock.nowSeconds * 1000) === "key_revoked"),
          ).toEqual(made.map(({ ended }) => ended));
      }
    });
    const importedFirst = (["import", "tick", "register", "all", "register"] as const).map(
      (what): Step => ({ what, owner: "a", role: "basic", ticks: -3, pick: 0 }),
    );
    await fc.assert(holds, { numRuns: 25, examples: [[importedFirst]] });
  });
}
