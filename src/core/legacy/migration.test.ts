import { describe, expect, test } from "vitest";
import type { MigrationState } from "./migration.ts";
import {
  createMigration,
  endedByPhase,
  enterPhase,
  initialState,
  isPhase,
  legacyNotice,
  mayMigrate,
  PHASES,
} from "./migration.ts";

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

test("a step supersedes one that the store has lost, and of two with the same version the store's wins", () => {
  const migration = createMigration();
  const lost = enterPhase(undefined, "deprecated", true, 5);
  migration.applyState(lost);
  // The store has lost the step, and its clock is behind.
  const next = enterPhase(undefined, "removed", true, 3, migration.state().version + 1);
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
  expect([first.version, second.version, migration.state()]).toEqual([1, 2, second]);
});

test("a phase that is entered again keeps its date, and loses it when V1 keys are no longer deprecated", () => {
  const deprecated = enterPhase(undefined, "deprecated", true, 1000);
  expect(enterPhase(deprecated, "deprecated", false, 2000)).toMatchObject({
    chosen: false,
    deprecatedAt: 1000,
  });
  expect(enterPhase(undefined, "removed", true, 1000)).toMatchObject({ deprecatedAt: 1000 });
  for (const phase of ["silent", "gradual", "active"] as const)
    expect(enterPhase(deprecated, phase, true, 2000)).not.toHaveProperty("deprecatedAt");
});

test("a version is above that of the step before, and at least the least one", () => {
  const current = enterPhase(undefined, "active", true, 5, 5000);
  expect(current.version).toBe(5000);
  expect(enterPhase(current, "silent", true, 3).version).toBe(5001);
  expect(enterPhase(current, "silent", true, 3, 7000).version).toBe(7000);
  expect(enterPhase(undefined, "silent", true, 0).version).toBe(1);
});

test("before a phase is stored, that of the policy applies, which no operator has chosen", () => {
  const state = initialState({ migration: { ...plan, phase: "active" } }, 5);
  expect(state).toEqual({ phase: "active", chosen: false, version: 1 });
  expect(createMigration().state()).toEqual({ phase: "silent", chosen: false, version: 0 });
  expect(createMigration(state).state()).toBe(state);
});

describe("a notice", () => {
  const notice = (state: Partial<MigrationState>, key: Parameters<typeof legacyNotice>[0] = untouched) =>
    legacyNotice(key, { phase: "deprecated", chosen: true, version: 1, ...state }, plan);

  test("of the deprecation has both dates, and one of the phase `active` has none", () => {
    for (const phase of ["deprecated", "removed"] as const)
      expect(notice({ phase, deprecatedAt: 9 })).toEqual({ deprecatedAt: 9, sunset: 5000 });
    expect(notice({ phase: "active" })).toEqual({});
  });

  test("is sent in no earlier phase, and to no other client", () => {
    for (const phase of ["silent", "gradual"] as const) expect(notice({ phase })).toBeUndefined();
    expect(notice({ deprecatedAt: 9 }, principal)).toBeUndefined();
    expect(legacyNotice(undefined, { phase: "active", chosen: true, version: 1 }, plan)).toBeUndefined();
  });
});

test("only the five phases are phases", () => {
  expect(PHASES.filter(isPhase)).toEqual(["silent", "gradual", "active", "deprecated", "removed"]);
  expect(["", "Active", "constructor"].filter(isPhase)).toEqual([]);
});
