import { describe, expect, test } from "vitest";
import { admin, NOW, scriptedRegistry } from "../../test/support/scripted-registry.ts";
import type { CommitOutcome, KeyChange } from "../core/keys/key-change.ts";
import { RegistryFrozen } from "../core/keys/registry-frozen.ts";
import type { MigrationState, Phase } from "../core/legacy/migration.ts";
import { setPhase } from "../core/legacy/migration-switch.ts";
import type { Policy } from "../core/policy/policy.ts";
import { createMigrationPhase } from "./migration-phase.ts";

const AGO_MS = NOW * 1000 - 5000;
/** An operator's last step. */
const REMOVED: MigrationState = { phase: "removed", chosen: true, version: AGO_MS, deprecatedAt: NOW - 9 };

/** A store that has lost what it had after this state. */
function storeWith(state: MigrationState | undefined) {
  const written: { readonly state: MigrationState; readonly audited: number }[] = [];
  const stored = () => written.at(-1)?.state ?? state;
  return {
    written,
    migration: async () => stored(),
    async commit({ migration, audit }: Pick<KeyChange, "migration" | "audit">): Promise<CommitOutcome> {
      if (migration === undefined || migration.from?.version !== stored()?.version)
        return { kind: "conflict" };
      written.push({ state: migration.to, audited: audit.length });
      return { kind: "committed" };
    },
  };
}

/** An instance that knows a state. */
function instanceOn(store: ReturnType<typeof storeWith>, known?: MigrationState) {
  const { registry } = scriptedRegistry();
  const { migration } = registry;
  if (known !== undefined) migration.applyState(known);
  const { onStored, applyPolicy } = createMigrationPhase({
    migration,
    keys: store,
    clock: { storeNowMs: () => NOW * 1000, applyStoreTime: () => undefined },
    log: expect.unreachable as never,
  });
  return {
    state: migration.state,
    watch: async () => onStored(await store.migration()),
    follow: (phase: Phase) => applyPolicy({ migration: { phase } } as Policy),
    choose: (phase: Phase) => setPhase({ ...registry, store: { ...registry.store, ...store } }, phase, admin),
  };
}

test("a freeze that stops a step is not asked again and again", async () => {
  const stored: MigrationState = { phase: "active", chosen: true, version: 5 };
  let asked = 0;
  const { migration } = scriptedRegistry().registry;
  // The store has lost the return to the policy's phase.
  migration.applyState({ phase: "gradual", chosen: false, version: 6 });
  const { applyPolicy } = createMigrationPhase({
    migration,
    keys: {
      migration: async () => stored,
      async commit(): Promise<CommitOutcome> {
        if (++asked > 9) throw new Error("asked again and again");
        return { kind: "frozen", until: NOW + 600 };
      },
    },
    clock: { storeNowMs: () => NOW * 1000, applyStoreTime: () => undefined },
    log: expect.unreachable as never,
  });
  await expect(applyPolicy({ migration: { phase: "silent" } } as Policy)).rejects.toThrow(RegistryFrozen);
  expect(asked).toBe(1);
  expect(migration.state().phase).toBe("gradual");
});

describe("an operator's step that the store has lost", () => {
  test.each([
    undefined,
    { phase: "active", chosen: false, version: 5 },
    { phase: "active", chosen: true, version: 5 },
  ] as const)(
    "is written back by an instance that knows it, also if its policy is reloaded first, over %o",
    async (left) => {
      const store = storeWith(left);
      const instance = instanceOn(store, REMOVED);
      await instance.follow("gradual");
      expect(store.written).toEqual([]);
      await instance.watch();
      expect(store.written).toEqual([{ state: REMOVED, audited: 0 }]);
      expect(instance.state()).toEqual(REMOVED);
    },
  );

  test.each([undefined, { phase: "silent", chosen: false, version: 5 }] as const)(
    "is not superseded by the policy of an instance that starts before it is written back, over %o",
    async (left) => {
      const store = storeWith(left);
      const [knowing, starting] = [instanceOn(store, REMOVED), instanceOn(store)];
      await starting.follow("gradual");
      expect(starting.state()).toMatchObject({ phase: "gradual", chosen: false });
      await knowing.watch();
      await starting.watch();
      expect([knowing.state(), starting.state(), await store.migration()]).toEqual([
        REMOVED,
        REMOVED,
        REMOVED,
      ]);
    },
  );

  test("is superseded by the operator's next step, also if that instance does not know it and the phase is stored already", async () => {
    const store = storeWith({ ...REMOVED, version: 4 });
    const active: MigrationState = { phase: "active", chosen: true, version: AGO_MS };
    const [asked, knowing] = [instanceOn(store), instanceOn(store, active)];
    expect(await asked.choose("removed")).toBe("done");
    await knowing.watch();
    expect([knowing.state().phase, (await store.migration())?.phase]).toEqual(["removed", "removed"]);
  });
});

test("the policy's phase is stored once, and followed until an operator chooses one", async () => {
  const store = storeWith(undefined);
  const [first, second] = [instanceOn(store), instanceOn(store)];
  await first.follow("gradual");
  await second.follow("gradual");
  expect(store.written).toEqual([{ state: { phase: "gradual", chosen: false, version: 1 }, audited: 1 }]);
  await second.follow("active");
  await first.watch();
  expect(first.state()).toEqual({ phase: "active", chosen: false, version: 2 });
  await first.choose("deprecated");
  await second.follow("gradual");
  expect(second.state()).toMatchObject({ phase: "deprecated", chosen: true, version: NOW * 1000 });
});

test("a reloaded policy in the phase `deprecated` keeps its date if the store has lost it", async () => {
  const store = storeWith(undefined);
  const known: MigrationState = { phase: "deprecated", chosen: false, version: 4, deprecatedAt: NOW - 99 };
  await instanceOn(store, known).follow("deprecated");
  expect(store.written).toMatchObject([{ state: { ...known, version: 5 } }]);
});
