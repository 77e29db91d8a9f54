import { describe, expect, test } from "vitest";
import type { MemoryContents } from "../../../test/support/memory-copied-store.ts";
import { memoryStore } from "../../../test/support/memory-copied-store.ts";
import { KEY, NOW } from "../../../test/support/scripted-registry.ts";
import type { MigrationState } from "../legacy/migration.ts";
import { copyAll } from "./copy.ts";
import type { AuditRow, CopiedPhase, KeyRow } from "./ports.ts";

/** The target after a copy. */
async function copied(source: MemoryContents, target: MemoryContents = {}) {
  const to = memoryStore({ id: "target", ...target });
  await copyAll({
    ...{ source: memoryStore({ id: "source", ...source }), target: to },
    ...{ recordRetentionSeconds: 0, nowSeconds: NOW },
    sha256Hex: () => "0",
    onProgress: () => undefined,
    isInterrupted: () => false,
  });
  return to.tables;
}

test("a generated secret of the target stays", async () => {
  const secret = (value: string) => ({ secrets: [{ name: "console_secret", value }] });
  const { secrets } = await copied(secret("source"), secret("target"));
  expect(secrets.stored.get("console_secret")?.value).toBe("target");
});

test("an audit event that the target has stays as it is", async () => {
  const event = (isLogged: boolean): { audit: readonly AuditRow[] } => ({
    audit: [
      {
        event: { eventId: "e", atMs: 1, event: "key_revoked", outcome: "done", actor: "a" },
        isLogged,
        origin: { store: "source", cursor: "1" },
      },
    ],
  });
  const { audit } = await copied(event(false), event(true));
  expect(audit.stored.get("e")?.isLogged).toBe(true);
});

describe("the last use of a key", () => {
  const used = (usedAt?: number, more: object = {}): { keys: readonly KeyRow[] } => ({
    keys: [{ record: { ...KEY, ...more }, ...(usedAt !== undefined && { usedAt }) }],
  });
  const usedAfter = async (source: MemoryContents, target: MemoryContents) =>
    (await copied(source, target)).keys.stored.get(KEY.keyId);

  test.each([
    ["is copied with the key", used(NOW), {}, NOW],
    ["is the later one, of the source", used(NOW), used(NOW - 1), NOW],
    ["is the later one, of the target", used(NOW - 1), used(NOW), NOW],
    ["stays if only the target has it", used(), used(NOW), NOW],
    ["is copied to a key without one", used(NOW), used(), NOW],
    ["stays with a record that changes", used(undefined, { version: 2, name: "newer" }), used(NOW), NOW],
  ])("%s", async (_, source, target, usedAt) => {
    expect((await usedAfter(source, target))?.usedAt).toBe(usedAt);
  });

  test("is absent if neither store has one", async () => {
    expect(await usedAfter(used(), {})).toStrictEqual({ record: KEY });
  });

  test("does not replace a newer record of the target", async () => {
    const newer = { version: 2, name: "newer" };
    expect(await usedAfter(used(NOW), used(NOW - 1, newer))).toEqual(used(NOW, newer).keys[0]);
  });
});

test("a key whose text is the same needs no write, and one whose text differs is merged", async () => {
  const withText = (text: string, more: object = {}) => ({ keys: [{ record: { ...KEY, ...more }, text }] });
  const newer = { version: 2, name: "newer" };
  const same = await copied(withText("same", newer), withText("same"));
  expect(same.keys.stored.get(KEY.keyId)?.record.name).toBe("n");
  const first = await copied(withText("same"));
  expect(first.keys.stored.size).toBe(1);
  const other = await copied(withText("one", newer), withText("other"));
  expect(other.keys.stored.get(KEY.keyId)?.record.name).toBe("newer");
});

describe("an entry of the feed", () => {
  const until = NOW + 100;
  const ofKey = (version: number, more: object = {}) => ({
    endedKeys: [
      {
        kind: "key",
        keyId: "k",
        version,
        expiresAt: until,
        revoked: false,
        disabled: true,
        ...more,
      } as const,
    ],
  });

  test("is merged with that of the target, as instances merge them", async () => {
    const { endedKeys } = await copied(ofKey(2), ofKey(1, { disabled: false, revoked: true }));
    expect(endedKeys.stored.get("k")).toMatchObject({ version: 2, revoked: true, disabled: true });
  });

  test("that the target has in a newer version stays", async () => {
    const newer = ofKey(3, { disabled: false });
    const { endedKeys } = await copied(ofKey(2), newer);
    expect(endedKeys.stored.get("k")).toBe(newer.endedKeys[0]);
  });

  test("of a family lasts until the later one of both ends", async () => {
    const family = (end: number) => ({ families: [{ kind: "family", family: "f", until: end } as const] });
    const untilAfter = async (source: MemoryContents, target: MemoryContents) =>
      (await copied(source, target)).families.stored.get("f")?.until;
    expect(await untilAfter(family(until), family(until + 5))).toBe(until + 5);
    expect(await untilAfter(family(until + 5), family(until))).toBe(until + 5);
  });

  test("that clears an override counts if it is newer", async () => {
    const override = (version: number, content?: object) => ({
      overrides: [
        { kind: "override", scope: "owner", subject: "a", version, ...(content && { content }) } as const,
      ],
    });
    const cleared = await copied(override(NOW * 1000), override(5, { plan: "team" }));
    expect(cleared.overrides.stored.get("owner a")?.content).toBeUndefined();
    const set = await copied(override(NOW * 1000), override(NOW * 1000 + 1, { plan: "team" }));
    expect(set.overrides.stored.get("owner a")?.content).toEqual({ plan: "team" });
  });
});

describe("the migration phase", () => {
  const state = (phase: MigrationState["phase"], version: number, more: Partial<MigrationState> = {}) => ({
    ...{ phase, version, chosen: true },
    ...more,
  });
  const inSource = (of: MigrationState) => ({ phase: [{ state: of, from: "source" }] });
  const inTarget = (of: MigrationState, brought?: CopiedPhase) => ({
    phase: [{ state: of, from: "source", ...(brought && { copied: brought }) }],
  });
  const merged = async (source: MemoryContents, target: MemoryContents) => {
    const stored = (await copied(source, target)).phase.stored.get("phase");
    return stored && { ...stored.state, copied: stored.copied };
  };
  const policy = { chosen: false };

  test("is copied if the target has none", async () => {
    expect(await merged(inSource(state("gradual", 5)), {})).toMatchObject(state("gradual", 5));
  });

  test("that both have needs no write, whatever its version", async () => {
    expect(await merged(inSource(state("gradual", 9)), inTarget(state("gradual", 5)))).toMatchObject({
      version: 5,
    });
  });

  test.each([
    ["a later time of its entry", { deprecatedAt: NOW }, { deprecatedAt: NOW - 1 }],
    ["a choice of an operator", { chosen: true }, policy],
  ])("is copied with %s", async (_, ofSource, ofTarget) => {
    const target = inTarget(state("deprecated", 5, ofTarget));
    expect(await merged(inSource(state("deprecated", 9, ofSource)), target)).toMatchObject(ofSource);
  });

  test.each([
    ["the newer choice", state("active", 6), state("gradual", 5), "active"],
    ["the newer choice, which the target has", state("active", 5), state("gradual", 6), "gradual"],
    ["the choice of the target, if both are equally new", state("active", 5), state("gradual", 5), "gradual"],
    ["the newer policy", state("active", 6, policy), state("gradual", 5, policy), "active"],
    [
      "the newer policy, which the target has",
      state("active", 5, policy),
      state("gradual", 6, policy),
      "gradual",
    ],
    ["the older choice, not the target's policy", state("active", 5), state("gradual", 6, policy), "active"],
    ["the target's older choice, not a policy", state("active", 6, policy), state("gradual", 5), "gradual"],
  ])("of two stores is that of %s", async (_, source, target, phase) => {
    expect(await merged(inSource(source), inTarget(target))).toMatchObject({ phase });
  });

  test("that replaces another one is newer than both, and is known as copied", async () => {
    const replaced = await merged(inSource(state("active", 5)), inTarget(state("gradual", 8, policy)));
    expect(replaced).toMatchObject({ version: 9, copied: { sourceVersion: 5, version: 9 } });
    const newer = await merged(inSource(state("active", 12)), inTarget(state("gradual", 8)));
    expect(newer).toMatchObject({ version: 12, copied: { sourceVersion: 12, version: 12 } });
  });

  test("that a copy has brought follows the source, also to an older version and to the policy", async () => {
    const brought = inTarget(state("removed", 9), { sourceVersion: 9, version: 9 });
    expect(await merged(inSource(state("active", 7, policy)), brought)).toMatchObject({
      ...{ phase: "active", chosen: false, version: 10 },
    });
  });

  test("of a step of the target after a copy stays while the source has none", async () => {
    const stepped = inTarget(state("silent", 10, policy), { sourceVersion: 9, version: 9 });
    expect(await merged(inSource(state("removed", 9)), stepped)).toMatchObject({ phase: "silent" });
    expect(await merged(inSource(state("removed", 11)), stepped)).toMatchObject({ phase: "removed" });
  });
});
