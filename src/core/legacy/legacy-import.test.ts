import { describe, expect, test } from "vitest";
import { admin, NOW, scriptedRegistry } from "../../../test/support/scripted-registry.ts";
import type { AuditEvent } from "../audit/audit-event.ts";
import { NotReplicated } from "../keys/commit.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import { RegistryFrozen } from "../keys/registry-frozen.ts";
import type { LegacyEntry } from "./import-entry.ts";
import { importLegacyKeys } from "./legacy-import.ts";

const CACHED = { kind: "legacy", keyIds: [] } as const;

/** One line of a file. */
const line = (number: number, key = `key ${number}`, more: Partial<LegacyEntry> = {}): LegacyEntry => ({
  line: number,
  key,
  name: "n",
  role: "contributor",
  ...more,
});

interface Store {
  readonly durable?: boolean;
  /** The registry is frozen from this portion on, until {@link NOW} and these seconds. */
  readonly frozen?: { readonly portion: number; readonly seconds: number };
}

/** An instance on a store that finds V1 keys by their hash and by their alias. */
function start({ durable = true, frozen }: Store = {}) {
  const scripted = scriptedRegistry({ durable });
  const stored: KeyRecord[] = [];
  const audit: AuditEvent[] = [];
  const lookedUp: (readonly string[])[] = [];
  const find = (hashes: readonly string[]) =>
    stored.find(({ legacy }) => hashes.includes(legacy?.hash ?? "") || hashes.includes(legacy?.alias ?? ""));
  const deps = {
    ...scripted.registry,
    legacy: {
      ...scripted.registry.legacy,
      storedForm: (key: string) => ({ hash: `hash of ${key}`, alias: `digest of ${key}` }),
      hashOfDigest: (hex: string) => `digest of ${hex}`,
    },
    store: {
      ...scripted.registry.store,
      async findLegacy(hashes: readonly string[]) {
        lookedUp.push(hashes);
        return find(hashes);
      },
      async importLegacy(records: readonly KeyRecord[], event: AuditEvent) {
        if (audit.length + 1 === frozen?.portion) {
          return { kind: "frozen", until: NOW + frozen.seconds } as const;
        }
        audit.push(event);
        return records.map((record) => {
          const { hash = "", alias = hash } = record.legacy ?? {};
          const isNew = find([hash, alias]) === undefined;
          if (isNew) stored.push(record);
          return isNew;
        });
      },
    },
  };
  const load = (portions: readonly (readonly LegacyEntry[])[], dryRun = false) =>
    importLegacyKeys(deps, portions, admin, dryRun);
  return { ...scripted, load, stored, audit, lookedUp };
}

describe("an import", () => {
  test("writes each portion with one audit event, then every instance forgets which V1 keys are unknown", async () => {
    const { load, stored, audit, asked, published, confirmed } = start();
    const report = await load([[line(1), line(2)], [line(3)]]);
    expect(report).toEqual({ imported: 3, known: 0, refused: [] });
    expect(stored.map(({ legacy }) => legacy?.hash)).toEqual([
      "hash of key 1",
      "hash of key 2",
      "hash of key 3",
    ]);
    expect(audit).toMatchObject([
      { event: "legacy_keys_imported", outcome: "done", actor: "admin:ops", reason: "2 presented" },
      { reason: "1 presented" },
    ]);
    expect(asked).toMatchObject([{ put: [], audit: [], feedEntries: [CACHED] }]);
    expect(published).toEqual([CACHED]);
    expect(confirmed).toEqual([]);
  });

  test("that is repeated changes nothing, and is acknowledged only if the first one is durable", async () => {
    const { load, stored, asked, confirmed } = start();
    await load([[line(1), line(2)]]);
    expect(await load([[line(1), line(2), line(3)]])).toEqual({ imported: 1, known: 2, refused: [] });
    expect(await load([[line(1), line(2)]])).toEqual({ imported: 0, known: 2, refused: [] });
    expect([stored.length, asked.length, confirmed]).toEqual([3, 2, [[]]]);
    const lost = start({ durable: false });
    await lost.load([[line(1)]]);
    await expect(lost.load([[line(1)]])).rejects.toThrow(NotReplicated);
  });

  test("without a line that can be imported writes nothing, not even an audit event", async () => {
    const { load, audit, asked, confirmed } = start();
    expect(await load([])).toEqual({ imported: 0, known: 0, refused: [] });
    expect(await load([[], [line(1, "k", { role: "no such" })]])).toEqual({
      imported: 0,
      known: 0,
      refused: [{ line: 1, detail: "the policy has no such role" }],
    });
    expect([audit, asked, confirmed]).toEqual([[], [], []]);
  });

  test("that a freeze interrupts says when to try again, and instances forget what they cached", async () => {
    for (const [seconds, retryAfterSeconds] of [
      [50, 50],
      [0, 1],
    ] as const) {
      const { load, stored, published } = start({ frozen: { portion: 2, seconds } });
      const error = await load([[line(1)], [line(2)], [line(3)]]).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(RegistryFrozen);
      expect(error).toMatchObject({ retryAfterSeconds });
      expect([stored.length, published]).toEqual([1, [CACHED]]);
    }
    const frozen = start({ frozen: { portion: 1, seconds: 50 } });
    await expect(frozen.load([[line(1)]])).rejects.toThrow(RegistryFrozen);
    expect(frozen.published).toEqual([]);
  });

  test("that is only tried reports the same, and writes nothing", async () => {
    const lines = [
      [line(1), line(2, "key 1")],
      [line(3), line(4, "key 3", { owner: "acme" })],
    ];
    const { load, stored, audit, asked, confirmed } = start();
    await load([[line(9, "key 1")]]);
    const before = [stored.length, audit.length, asked.length, confirmed.length];
    const tried = await load(lines, true);
    expect([stored.length, audit.length, asked.length, confirmed.length]).toEqual(before);
    expect(tried).toMatchObject({ imported: 1, known: 2, refused: [{ line: 4 }] });
    expect(await load(lines)).toEqual(tried);
  });
});

describe("a key that is in the store", () => {
  test("keeps its role, owner and end: a line with others is rejected, and names them", async () => {
    const { load, stored } = start();
    await load([[line(1, "k", { owner: "acme", expiresAt: NOW + 9 })]]);
    const kept = [...stored];
    const report = await load([
      [line(1, "k", { owner: "acme", expiresAt: NOW + 9 })],
      [line(2, "k", { owner: "globex", expiresAt: NOW + 9 })],
      [line(3, "k", { role: "basic", expiresAt: NOW + 8 })],
      [line(4, "k", { owner: "acme" })],
    ]);
    const other = (fields: string) => `the key is there already, with another ${fields}`;
    expect(report).toEqual({
      imported: 0,
      known: 1,
      refused: [
        { line: 2, detail: other("owner") },
        { line: 3, detail: other("role and owner and expires_at") },
        { line: 4, detail: other("expires_at") },
      ],
    });
    expect(stored).toEqual(kept);
  });

  test("is found by its SHA-256 as well", async () => {
    const { key: _, ...digested } = line(2, "", { sha256Hex: "key 1" });
    const { load, lookedUp } = start();
    // A dry run has only the lines to find it by.
    for (const dryRun of [true, false])
      expect(await load([[line(1)], [digested]], dryRun)).toEqual({ imported: 1, known: 1, refused: [] });
    expect(await load([[line(1)]])).toEqual({ imported: 0, known: 1, refused: [] });
    expect(lookedUp.at(-1)).toEqual(["hash of key 1", "digest of key 1"]);
    expect(await load([[digested]])).toEqual({ imported: 0, known: 1, refused: [] });
    expect(lookedUp.at(-1)).toEqual(["digest of key 1"]);
    const reversed = start();
    expect(await reversed.load([[digested, line(3)], [line(1)]])).toMatchObject({ imported: 2, known: 1 });
  });
});

describe("a line that repeats an earlier one", () => {
  test("is known if it says the same, and is rejected if it does not", async () => {
    const { load, audit } = start();
    expect(await load([[line(1, "k"), line(2, "k"), line(3, "k", { role: "basic" })]])).toEqual({
      imported: 1,
      known: 1,
      refused: [{ line: 3, detail: "the key is there already, with another role" }],
    });
    expect(audit).toMatchObject([{ reason: "1 presented" }]);
  });

  test("is reported in the order of the file, among the lines that are rejected for themselves", async () => {
    const { load } = start();
    const report = await load([
      [line(1, "k"), line(2, "k", { owner: "acme" }), line(3, "l", { role: "no such" })],
      [line(4, "k", { owner: "acme" }), line(5, "m", { expiresAt: NOW })],
    ]);
    expect(report.refused.map(({ line: number }) => number)).toEqual([2, 3, 4, 5]);
  });
});
