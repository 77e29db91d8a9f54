import { describe, expect, test } from "vitest";
import { KEY, NOW, scriptedRegistry } from "../../../test/support/scripted-registry.ts";
import {
  commit,
  commitUnconditionally,
  ensureDurable,
  NotReplicated,
  RegistryBusy,
  retryOnConflict,
} from "./commit.ts";
import type { CommitOutcome } from "./key-change.ts";
import { RegistryFrozen } from "./registry-frozen.ts";

const LEGACY = { hash: "h" };
const ENDED = { kind: "family", family: KEY.family, until: NOW + 9 } as const;
const revoked = { ...KEY, version: 2, revokedAt: NOW };
const restriction = { kind: "key", keyId: KEY.keyId, expiresAt: KEY.expiresAt } as const;

describe("a change that is written", () => {
  test("ends keys for this instance's Checks at once", async () => {
    const { registry, asked, known } = scriptedRegistry();
    const outcome = await commit(registry, { put: [revoked], end: ENDED, audit: [] });
    expect(outcome).toEqual({ kind: "committed" });
    expect(known()).toEqual([{ ...restriction, version: NOW * 1000, revoked: true, disabled: false }, ENDED]);
    expect(asked).toMatchObject([{ nowSeconds: NOW, put: [{ changedAt: NOW * 1000 }], end: ENDED }]);
  });

  test("is no restriction if it restricts nothing, unless it replaces one that this instance knows", async () => {
    const { registry, known } = scriptedRegistry();
    await commit(registry, { put: [KEY, { ...KEY, name: "new", version: 2 }], audit: [] });
    expect(known()).toEqual([]);
    await commit(registry, { put: [{ ...KEY, disabled: true, version: 3 }], audit: [] });
    await commit(registry, { put: [{ ...KEY, version: 4 }], audit: [] });
    expect(known()).toEqual([{ ...restriction, version: NOW * 1000 + 1, revoked: false, disabled: false }]);
  });

  test("of a V1 key invalidates what instances cache of it; a new V1 key and a V2 key are in no cache", async () => {
    const { registry, asked, published } = scriptedRegistry();
    const entry = { kind: "legacy", keyIds: ["v1"] } as const;
    const other = { kind: "legacy", keyIds: ["other"] } as const;
    const put = [
      { ...revoked, keyId: "v1", legacy: LEGACY },
      { ...KEY, keyId: "new", legacy: LEGACY },
      revoked,
    ];
    await commit(registry, { put, feedEntries: [other], audit: [] });
    expect(asked[0]?.feedEntries).toEqual([other, entry]);
    expect(published).toEqual([other, entry]);
    await commit(registry, { put: [revoked], audit: [] });
    expect(asked[1]?.feedEntries).toEqual([]);
    expect(published).toHaveLength(2);
  });

  test("of the phase reaches this instance before the entries about V1 keys", async () => {
    const { registry, published } = scriptedRegistry();
    const to = { phase: "active", chosen: true, version: 1 } as const;
    const other = { kind: "legacy", keyIds: ["other"] } as const;
    await commit(registry, { put: [], migration: { from: undefined, to }, feedEntries: [other], audit: [] });
    expect(published).toEqual([{ kind: "phase", state: to }, other]);
  });

  test("needs no running instance", async () => {
    const { registry, asked } = scriptedRegistry();
    const { onFeedEntry: _, ...alone } = registry;
    const to = { phase: "active", chosen: true, version: 1 } as const;
    const put = [{ ...revoked, legacy: LEGACY }];
    await commit(alone, { put, migration: { from: undefined, to }, audit: [] });
    expect(asked).toHaveLength(1);
  });

  test("of an override has the version that the store determined", async () => {
    const { registry, known } = scriptedRegistry({}, [{ kind: "committed", overrideVersion: 7 }]);
    const stored = { kind: "override", scope: "owner", subject: "acme", content: { plan: "team" } } as const;
    const override = { ...stored, replaces: 3, above: 5, below: 10 };
    await commit(registry, { put: [], override, audit: [] });
    expect(known()).toEqual([{ ...stored, version: 7 }]);
  });

  test("but is not durable yet, is applied and reported", async () => {
    const { registry, known } = scriptedRegistry({}, [{ kind: "committed", durable: false }]);
    await expect(commit(registry, { put: [], end: ENDED, audit: [] })).rejects.toThrow(NotReplicated);
    expect(known()).toEqual([ENDED]);
  });
});

test.each<CommitOutcome>([
  { kind: "conflict" },
  { kind: "ended", before: 5 },
  { kind: "full" },
  { kind: "owner_full" },
  { kind: "too_many_overrides" },
  { kind: "early", before: 5 },
])("a change with the outcome %j changes nothing on this instance", async (outcome) => {
  const { registry, known, published } = scriptedRegistry({}, [outcome]);
  const put = [{ ...revoked, legacy: LEGACY }];
  expect(await commit(registry, { put, end: ENDED, audit: [] })).toEqual(outcome);
  expect([known(), published]).toEqual([[], []]);
});

test("an instance with another clock adopts the store's, and decides again", async () => {
  const nowMs = (NOW + 90) * 1000;
  const { registry, asked, known } = scriptedRegistry({}, [{ kind: "clock", nowMs }]);
  const end = () => ({ ...ENDED, until: Math.floor(registry.storeClock.storeNowMs() / 1000) });
  await commitUnconditionally(registry, () => ({ put: [], end: end(), audit: [] }));
  const other = scriptedRegistry({}, [{ kind: "clock", nowMs }]);
  expect(await commit(other.registry, { put: [], audit: [] })).toEqual({ kind: "conflict" });
  expect(asked.map(({ nowSeconds }) => nowSeconds)).toEqual([NOW, NOW + 90]);
  expect(known()).toEqual([{ ...ENDED, until: NOW + 90 }]);
});

test("a frozen registry says when to try again: a second at least", async () => {
  for (const [until, retryAfterSeconds] of [
    [NOW + 50, 50],
    [NOW, 1],
  ] as const) {
    const { registry, known } = scriptedRegistry({}, [{ kind: "frozen", until }]);
    const error = await commit(registry, { put: [revoked], audit: [] }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RegistryFrozen);
    expect(error).toMatchObject({
      retryAfterSeconds,
      name: "RegistryFrozen",
      message: expect.stringContaining("copied into another store"),
    });
    expect(known()).toEqual([]);
  }
});

describe("the time of a change", () => {
  const changedAt = async (changed: object, knownVersion?: number) => {
    const { registry, asked, setTime } = scriptedRegistry();
    setTime(NOW * 1000 + 0.7);
    if (knownVersion !== undefined)
      registry.view.apply([{ ...restriction, version: knownVersion, revoked: false, disabled: true }]);
    await commit(registry, { put: [{ ...KEY, version: 2, ...changed }], audit: [] });
    return asked[0]?.put[0]?.changedAt;
  };

  test("is the store's, and later than every known change of the key", async () => {
    expect(await changedAt({})).toBe(NOW * 1000);
    expect(await changedAt({ changedAt: NOW * 1000 + 500 })).toBe(NOW * 1000 + 501);
    expect(await changedAt({}, NOW * 1000 + 500)).toBe(NOW * 1000 + 501);
    expect(await changedAt({ changedAt: NOW * 1000 + 900 }, NOW * 1000 + 500)).toBe(NOW * 1000 + 901);
    // An old record has no time, so its version counts.
    expect(await changedAt({ version: NOW * 1000 + 9 })).toBe(NOW * 1000 + 9);
  });

  test("is absent from a new record, and a view that knows the key is not asked", async () => {
    expect(await changedAt({ version: 1 }, NOW * 1000 + 500)).toBeUndefined();
  });
});

describe("an operation that other changes disturb", () => {
  test("is repeated until none comes in between, eight times at most", async () => {
    for (const [conflicts, made] of [
      [0, 1],
      [7, 8],
    ] as const) {
      const { registry, asked } = scriptedRegistry({}, Array(conflicts).fill({ kind: "conflict" }));
      await commitUnconditionally(registry, () => ({ put: [], audit: [] }));
      expect(asked).toHaveLength(made);
    }
    const { registry, asked } = scriptedRegistry({}, Array(8).fill({ kind: "conflict" }));
    const busy = commitUnconditionally(registry, () => ({ put: [], audit: [] }));
    await expect(busy).rejects.toThrow(RegistryBusy);
    await expect(busy).rejects.toMatchObject({
      name: "RegistryBusy",
      message: expect.stringContaining("eight attempts"),
    });
    expect(asked).toHaveLength(8);
  });

  test("returns the first result, also undefined", async () => {
    expect(await retryOnConflict(async () => "done")).toBe("done");
    expect(await retryOnConflict(async () => undefined)).toBeUndefined();
  });
});

test("an operation that changes nothing fails while earlier changes are not durable", async () => {
  const { registry, confirmed } = scriptedRegistry();
  await ensureDurable(registry);
  await ensureDurable(registry, [KEY]);
  expect(confirmed).toEqual([[], [KEY]]);
  const lost = ensureDurable(scriptedRegistry({ durable: false }).registry, [KEY]);
  await expect(lost).rejects.toThrow(NotReplicated);
  await expect(lost).rejects.toMatchObject({
    name: "NotReplicated",
    message: expect.stringContaining("few replicas"),
  });
});
