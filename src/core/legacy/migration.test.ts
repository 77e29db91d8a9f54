import { describe, expect, test } from "vitest";
import type { MigrationState } from "./migration.ts";
import { createMigration, endedByPhase, enterPhase, mayMigrate } from "./migration.ts";

const plan = { phase: "silent", overlapSeconds: 100, sunset: 5000, migrateUntil: 6000 } as const;
const principal = {
  keyId: "k",
  family: "f",
  role: "r",
  scopes: [],
  name: "n",
  issuedAt: 0,
  expiresAt: 9,
  refreshAfter: 9,
};
const untouched = { ...principal, legacy: {} };
const migratedAt = (seconds: number) => ({ ...principal, legacy: { migratedAt: seconds } });
const ended = (key: typeof untouched, state: MigrationState, seconds: number) =>
  endedByPhase(key, state, plan, seconds * 1000);

describe("a migrated V1 key", () => {
  test("stays valid without limit before `deprecated`", () => {
    for (const phase of ["silent", "gradual", "active"] as const)
      expect(ended(migratedAt(1), { phase, chosen: true, version: 1 }, 9999)).toBeUndefined();
  });

  test("has its overlap from the later of its migration and the entry into `deprecated`, in `removed` too", () => {
    for (const phase of ["deprecated", "removed"] as const) {
      const state = { phase, chosen: true, version: 1, deprecatedAt: 1000 };
      expect(ended(migratedAt(1), state, 1099)).toBeUndefined();
      expect(ended(migratedAt(1), state, 1100)).toBe("key_superseded");
      expect(ended(migratedAt(1050), state, 1149)).toBeUndefined();
      expect(ended(migratedAt(1050), state, 1150)).toBe("key_superseded");
    }
  });

  test("is valid again when the phase goes back, and its overlap restarts with the next entry", () => {
    const first = enterPhase(undefined, "deprecated", true, 1000);
    const removed = enterPhase(first, "removed", true, 1050);
    expect([first.deprecatedAt, removed.deprecatedAt]).toEqual([1000, 1000]);
    const back = enterPhase(removed, "active", true, 2000);
    expect(ended(migratedAt(1), back, 9999)).toBeUndefined();
    expect(enterPhase(back, "deprecated", true, 3000).deprecatedAt).toBe(3000);
  });
});

test("another V1 key is valid until `removed`", () => {
  for (const phase of ["silent", "gradual", "active", "deprecated"] as const)
    expect(ended(untouched, { phase, chosen: true, version: 1, deprecatedAt: 1 }, 9999)).toBeUndefined();
  expect(ended(untouched, { phase: "removed", chosen: true, version: 1, deprecatedAt: 1 }, 2)).toBe(
    "legacy_key_removed",
  );
});

test("a V2 key does not depend on the phase", () => {
  expect(
    endedByPhase(principal, { phase: "removed", chosen: true, version: 1, deprecatedAt: 1 }, plan, 9e9),
  ).toBeUndefined();
});

test("keys can be exchanged in every phase, in `removed` until migrate_until", () => {
  expect(mayMigrate({ phase: "deprecated", chosen: true, version: 1 }, plan, 9e9)).toBe(true);
  expect(mayMigrate({ phase: "removed", chosen: true, version: 1 }, plan, 5_999_999)).toBe(true);
  expect(mayMigrate({ phase: "removed", chosen: true, version: 1 }, plan, 6_000_000)).toBe(false);
});

test("entering the current phase is not a step", () => {
  const state = enterPhase(undefined, "active", false, 1);
  expect(enterPhase(state, "active", false, 2)).toBe(state);
  expect(enterPhase(state, "active", true, 2)).not.toBe(state);
});

test("a step supersedes one that the store has lost, and of two with the same version the store's wins", () => {
  const migration = createMigration();
  const lost = enterPhase(undefined, "deprecated", true, 5);
  migration.applyState(lost);
  // The store has lost the step, and its clock is behind.
  const next = enterPhase(undefined, "removed", true, 3, migration.state().version);
  migration.applyState(next);
  expect(migration.state()).toEqual({ ...next, phase: "removed" });
  migration.applyState({ ...next, phase: "active" });
  expect(migration.state().phase).toBe("active");
});

test("each step has a version, and a state that arrives late changes nothing", () => {
  const first = enterPhase(undefined, "active", true, 1);
  const second = enterPhase(first, "silent", true, 2);
  const migration = createMigration();
  migration.applyState(second);
  migration.applyState(first);
  expect([first.version, second.version, migration.state()]).toEqual([1000, 2000, second]);
});
