import { expect, test } from "vitest";
import { admin, NOW, scriptedRegistry } from "../../../test/support/scripted-registry.ts";
import { NotReplicated } from "../keys/commit.ts";
import type { CommitOutcome } from "../keys/key-change.ts";
import { denied } from "../keys/registry-denial.ts";
import type { Policy } from "../policy/policy.ts";
import type { MigrationState } from "./migration.ts";
import { setPhase } from "./migration-switch.ts";

const ACTIVE: MigrationState = { phase: "active", chosen: true, version: 5 };
const REMOVED: MigrationState = { phase: "removed", chosen: true, version: 6, deprecatedAt: NOW - 9 };

/** An instance that knows a state, on a store that has another one. */
function start(stored: MigrationState | undefined, known = stored, outcomes: readonly CommitOutcome[] = []) {
  const scripted = scriptedRegistry({}, outcomes);
  const { registry } = scripted;
  if (known !== undefined) registry.migration.applyState(known);
  const deps = {
    ...registry,
    policy: (): Policy => ({ ...registry.policy(), migration: { phase: "gradual" } as Policy["migration"] }),
    store: { ...registry.store, migration: async () => stored },
  };
  return { ...scripted, deps };
}

test("the phase that an operator chooses applies to all instances, and its audit event names it", async () => {
  const { deps, asked, published } = start(ACTIVE);
  expect(await setPhase(deps, "deprecated", admin, "active")).toBe("done");
  const to = { phase: "deprecated", chosen: true, deprecatedAt: NOW, version: NOW * 1000 };
  expect(asked).toMatchObject([
    {
      put: [],
      migration: { from: ACTIVE, to },
      audit: [{ event: "migration_phase_set", outcome: "done", actor: "admin:ops", reason: "deprecated" }],
    },
  ]);
  expect(published).toEqual([{ kind: "phase", state: to }]);
});

test("a choice that is returned to the policy has the policy's phase", async () => {
  const { deps, asked } = start(ACTIVE);
  expect(await setPhase(deps, "from-policy", admin)).toBe("done");
  expect(asked).toMatchObject([
    { migration: { to: { phase: "gradual", chosen: false } }, audit: [{ reason: "from-policy" }] },
  ]);
});

test("a choice that is based on another phase is denied, and this instance learns the stored phase", async () => {
  const { deps, asked } = start(REMOVED, ACTIVE);
  expect(await setPhase(deps, "silent", admin, "active")).toEqual(denied("changed_meanwhile"));
  expect(asked).toEqual([]);
  expect(deps.migration.state()).toEqual(REMOVED);
  expect(await setPhase(deps, "silent", admin, "removed")).toBe("done");
});

test("the phase that is stored already is written without an audit event, because the store may have lost a later one", async () => {
  const { deps, asked } = start(ACTIVE);
  expect(await setPhase(deps, "active", admin)).toBe("done");
  expect(asked).toMatchObject([
    { migration: { from: ACTIVE, to: { ...ACTIVE, version: NOW * 1000 } }, audit: [] },
  ]);
  const lossy = start(ACTIVE, ACTIVE, [{ kind: "committed", durable: false }]);
  await expect(setPhase(lossy.deps, "active", admin)).rejects.toThrow(NotReplicated);
});

test("a choice supersedes a later one that the store has lost and this instance knows, and has an audit event", async () => {
  const { deps, asked } = start(REMOVED, { ...ACTIVE, version: NOW * 1000 + 7 });
  expect(await setPhase(deps, "removed", admin, "active")).toBe("done");
  expect(asked).toMatchObject([
    {
      migration: { from: REMOVED, to: { ...REMOVED, deprecatedAt: NOW, version: NOW * 1000 + 8 } },
      audit: [{ reason: "removed" }],
    },
  ]);
});

test.each([undefined, { phase: "active", chosen: true, version: 5 }] as const)(
  "a step from `deprecated` keeps its date if the store has lost it, so that no ended key becomes valid again: %j",
  async (left) => {
    const deprecated: MigrationState = { ...REMOVED, phase: "deprecated", deprecatedAt: NOW - 4_000_000 };
    const { deps, asked } = start(left, deprecated);
    expect(await setPhase(deps, "removed", admin, "deprecated")).toBe("done");
    expect(asked).toMatchObject([{ migration: { from: left, to: { deprecatedAt: NOW - 4_000_000 } } }]);
  },
);

test("a choice is made again if another step came first", async () => {
  const { deps, asked } = start(undefined, undefined, [{ kind: "conflict" }]);
  expect(await setPhase(deps, "active", admin)).toBe("done");
  expect(asked).toHaveLength(2);
});
