import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { MemoryContents, MemoryStore } from "../../../test/support/memory-copied-store.ts";
import { memoryStore } from "../../../test/support/memory-copied-store.ts";
import { KEY, NOW } from "../../../test/support/scripted-registry.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import { NEVER } from "../keys/key-record.ts";
import type { CopyDeps } from "./copy.ts";
import { CopyInterrupted, compareAll, copyAll } from "./copy.ts";
import type { PutOutcome } from "./ports.ts";

const RETENTION_SECONDS = 100;

function key(keyId: string, more: Partial<KeyRecord> = {}) {
  return { record: { ...KEY, keyId, ...more } };
}

const keys = (count: number) => Array.from({ length: count }, (_, at) => key(`k${at}`));

function between(source: MemoryContents | MemoryStore, target: MemoryContents | MemoryStore = {}) {
  const storeOf = (side: MemoryContents | MemoryStore) => ("tables" in side ? side : memoryStore(side));
  const sides = { source: storeOf(source), target: storeOf(target) };
  const deps: CopyDeps = {
    ...sides,
    recordRetentionSeconds: RETENTION_SECONDS,
    nowSeconds: NOW,
    sha256Hex: (text) => createHash("sha256").update(text).digest("hex"),
    onProgress: () => undefined,
    isInterrupted: () => false,
  };
  return {
    ...sides,
    copy: (more: Partial<CopyDeps> = {}) => copyAll({ ...deps, ...more }),
    /** The result of one kind. */
    async copied(name: string) {
      return (await copyAll(deps)).find((kind) => kind.name === name);
    },
    async compared(name: string) {
      return (await compareAll(deps)).find((kind) => kind.name === name);
    },
  };
}

/** A row of each kind. */
const FULL: MemoryContents = {
  id: "source",
  dates: { forgotten: 1, newest: 2, newestUncut: 3 },
  secrets: [{ name: "jwt_secret", value: "s" }],
  phase: [{ state: { phase: "gradual", chosen: true, version: 5 }, from: "source" }],
  keys: keys(3),
  endedKeys: [{ kind: "key", keyId: "gone", version: 1, expiresAt: NOW + 9, revoked: true, disabled: false }],
  families: [{ kind: "family", family: "f", until: NOW + 9 }],
  cutOffs: [{ kind: "cutoff", scope: "all", subject: "", before: NOW, until: NOW + 9 }],
  overrides: [{ kind: "override", scope: "owner", subject: "acme", version: 1, content: { plan: "team" } }],
  quotas: [{ counterId: "q", windowMs: NOW * 1000, used: 5, limit: 10 }],
  usage: [
    {
      ...{ family: "f", owner: "acme", hours: [] },
      day: {
        ...{ at: 20_000, cost: 1, units: new Map(), routes: new Map() },
        requests: { allowed: 1, denied: 0, limited: 0 },
      },
    },
  ],
  audit: [
    {
      event: { eventId: "e", atMs: 1, event: "key_revoked", outcome: "done", actor: "admin:a" },
      isLogged: true,
      origin: { store: "source", cursor: "1" },
    },
  ],
};

describe("a copy", () => {
  test("begins with the dates of the source, then ends of many keys, the keys, and last what Checks change", async () => {
    const { copy, target } = between(FULL);
    const copied = await copy();
    expect(target.written).toEqual([
      { id: "source", dates: { forgotten: 1, newest: 2, newestUncut: 3 } },
      ...[["jwt_secret"], ["phase"], ["f"], ["all "], ["k0", "k1"], ["k2"], ["gone"], ["owner acme"]],
      ...[["e"], ["q"], ["f 20000"]],
    ]);
    expect(copied.map(({ name, read, written }) => [name, read, written])).toEqual([
      ["generated secrets", 1, 1],
      ["migration phase", 1, 1],
      ["ended families", 1, 1],
      ["cut-offs", 1, 1],
      ["keys", 3, 3],
      ["key ends not in the records", 1, 1],
      ["overrides", 1, 1],
      ["audit events", 1, 1],
      ["counters of quotas", 1, 1],
      ["days of usage", 1, 1],
    ]);
  });

  test("that is repeated reads everything, writes nothing, and finds no difference", async () => {
    const { copy, target, compared } = between(FULL);
    const first = await copy();
    target.written.length = 0;
    const again = await copy();
    expect(target.written).toHaveLength(1);
    expect(again).toEqual(first.map((kind) => ({ ...kind, written: 0 })));
    for (const { name, read } of first) {
      const { source, target: copied, missing } = (await compared(name)) ?? expect.unreachable();
      expect([name, source.rows, copied, missing]).toEqual([name, read, source, 0]);
    }
  });

  test("of a store without an id begins without one", async () => {
    const { copy, target } = between({});
    await copy();
    expect(target.written).toMatchObject([{ id: "" }]);
  });

  test("leaves out rows that are due for removal, and those that the target does not use", async () => {
    const overdue = [NOW - RETENTION_SECONDS, NOW - RETENTION_SECONDS + 1, NEVER].map((expiresAt) =>
      key(`until${expiresAt}`, { expiresAt }),
    );
    const source = memoryStore({ ...FULL, keys: overdue });
    const target = memoryStore();
    const secrets = { ...target.rows.secrets, uses: () => false };
    const { copy } = between(source, { ...target, rows: { ...target.rows, secrets } });
    await copy();
    expect([...target.tables.keys.stored.keys()]).toEqual(overdue.slice(1).map(({ record }) => record.keyId));
    expect(target.tables.secrets.stored.size).toBe(0);
  });

  test.each([
    ["families", { families: [{ kind: "family", family: "f", until: NOW }] }],
    ["cutOffs", { cutOffs: [{ kind: "cutoff", scope: "all", subject: "", before: 1, until: NOW }] }],
    [
      "endedKeys",
      {
        endedKeys: [{ kind: "key", keyId: "k", version: 1, expiresAt: NOW, revoked: true, disabled: false }],
      },
    ],
    ["overrides", { overrides: [{ kind: "override", scope: "owner", subject: "a", version: 1 }] }],
    ["quotas", { quotas: [{ counterId: "q", windowMs: 0, used: 5, limit: 10 }] }],
  ] as const)("leaves out %s that have ended", async (name, source) => {
    const { copy, target } = between(source);
    await copy();
    expect(target.tables[name].stored.size).toBe(0);
  });

  test("reports its progress by pages", async () => {
    const seen: unknown[] = [];
    const { copy } = between({ keys: keys(3) });
    await copy({
      onProgress: (name, done, total) => {
        if (name === "keys") seen.push([done, total]);
      },
    });
    expect(seen).toEqual([
      [0, 3],
      [2, 3],
      [3, 3],
    ]);
  });

  test("that is interrupted stops after a page, and the next one continues it", async () => {
    const { copy, target } = between({ keys: keys(3) });
    await expect(copy({ isInterrupted: () => true })).rejects.toThrow(
      new CopyInterrupted("2 of the keys were read"),
    );
    expect(target.tables.keys.stored.size).toBe(2);
    expect((await copy()).find(({ name }) => name === "keys")).toMatchObject({ read: 3, written: 1 });
  });
});

describe("a row of the target that another writer changes meanwhile", () => {
  /** A target where another writer comes before the copy, some times. */
  function contended(times: number) {
    const target = memoryStore();
    const table = target.tables.keys;
    let left = times;
    const put: typeof table.put = async (changes) => {
      if (left-- > 0) {
        const there = table.stored.get("k0")?.record ?? { ...KEY, keyId: "k0", name: "there", version: 5 };
        table.stored.set("k0", { record: { ...there, version: there.version + 1 } });
      }
      return table.put(changes);
    };
    return between(
      { keys: keys(2).map(({ record }) => ({ record: { ...record, revokedAt: NOW } })) },
      {
        ...target,
        rows: { ...target.rows, keys: { ...table, put } },
      },
    );
  }

  test("is merged again, and others are not written twice", async () => {
    const { copied, target } = contended(3);
    expect(await copied("keys")).toMatchObject({ read: 2, written: 2, conflicts: [] });
    expect(target.tables.keys.stored.get("k0")?.record).toMatchObject({ name: "there", revokedAt: NOW });
    expect(target.written.slice(1)).toEqual([["k0", "k1"], ["k0"], ["k0"], ["k0"]]);
  });

  test("ends the copy if it changes eight times in a row", async () => {
    expect(await contended(7).copied("keys")).toMatchObject({ written: 2 });
    await expect(contended(8).copied("keys")).rejects.toThrow(
      "the keys of the target changed during eight attempts in a row",
    );
  });
});

test("a V1 key that the target has under another id is a conflict, and the first twenty are reported", async () => {
  const target = memoryStore();
  const put = async (changes: readonly unknown[]) => changes.map((): PutOutcome => "conflict");
  const v1 = Array.from({ length: 25 }, (_, at) => key(`k${at}`, at === 1 ? { revokedAt: NOW } : {}));
  const { copied } = between(
    { keys: v1 },
    { ...target, rows: { ...target.rows, keys: { ...target.rows.keys, put } } },
  );
  const { read, written, conflicts = [] } = (await copied("keys")) ?? expect.unreachable();
  expect([read, written, conflicts.length]).toEqual([25, 0, 20]);
  expect(conflicts.slice(0, 2)).toEqual([
    { keyId: "k0", isRevoked: false },
    { keyId: "k1", isRevoked: true },
  ]);
});

describe("a comparison", () => {
  test("counts what the target lacks, and what it has in an older version, and writes nothing", async () => {
    const newer = key("k1", { version: 2, name: "newer" });
    const { compared, target } = between(
      { keys: [key("k0"), newer, key("k2")] },
      { keys: [key("k1"), key("k2"), key("its own")] },
    );
    const found = (await compared("keys")) ?? expect.unreachable();
    expect(found).toMatchObject({ name: "keys", missing: 2, source: { rows: 3 }, target: { rows: 3 } });
    expect(found.source.digest).not.toBe(found.target.digest);
    expect(target.written).toEqual([]);
  });

  test("counts every row of every kind that an empty target lacks", async () => {
    const { copy, source } = between(FULL);
    for (const { name, read } of await copy())
      expect([name, (await between(source).compared(name))?.missing]).toEqual([name, read]);
  });

  test.each<readonly [name: string, other: MemoryContents]>([
    ["generated secrets", { secrets: [{ name: "jwt_secret", value: "other" }] }],
    [
      "migration phase",
      { phase: [{ state: { phase: "gradual", chosen: false, version: 5 }, from: "source" }] },
    ],
    [
      "migration phase",
      {
        phase: [{ state: { phase: "gradual", chosen: true, deprecatedAt: NOW, version: 5 }, from: "source" }],
      },
    ],
    ["counters of quotas", { quotas: [{ counterId: "q", windowMs: NOW * 1000, used: 6, limit: 10 }] }],
  ])("has another digest of %s if a row differs", async (name, other) => {
    const { source, target } =
      (await between(FULL, { ...FULL, ...other }).compared(name)) ?? expect.unreachable();
    expect(source.digest).not.toBe(target.digest);
  });

  test("ignores the last use of a key, which is no part of its record", async () => {
    const used = { ...key("k0"), usedAt: NOW };
    const { compared } = between({ keys: [used] }, { keys: [key("k0")] });
    const { missing, source, target } = (await compared("keys")) ?? expect.unreachable();
    expect([missing, source]).toEqual([0, target]);
  });

  test("says which kinds Checks change", async () => {
    const { compared } = between({});
    const isChanged = async (name: string) => (await compared(name))?.countsChecks;
    expect(await Promise.all(["counters of quotas", "days of usage"].map(isChanged))).toEqual([true, true]);
    expect(await Promise.all(["keys", "overrides"].map(isChanged))).toEqual([false, false]);
  });
});
