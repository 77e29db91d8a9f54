import { describe, expect, test } from "vitest";
import type { MemoryContents } from "../../../test/support/memory-copied-store.ts";
import { memoryStore } from "../../../test/support/memory-copied-store.ts";
import { KEY, NOW } from "../../../test/support/scripted-registry.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import type { CutOff } from "../revocation/revocation.ts";
import { findEscapedKeys } from "./escaped-keys.ts";

const UNTIL = NOW + 9000;

function cutOff(scope: CutOff["scope"], subject = "", before = NOW + 1) {
  return { kind: "cutoff", scope, subject, before, until: UNTIL } as const;
}

const row = (more: Partial<KeyRecord>) => ({ record: { ...KEY, ...more } });
const succeededBy = (keyId: string) => ({ successor: { keyId, at: NOW, notAfter: NOW + 60 } });

/** A key, and its successor, which is dated after the cut-off. */
function refreshed(old: Partial<KeyRecord> = {}, next: Partial<KeyRecord> = {}) {
  return [
    row({ keyId: "old", ...succeededBy("next"), ...old }),
    row({ keyId: "next", issuedAt: NOW + 5, ...next }),
  ];
}

const escaped = (source: MemoryContents, target: MemoryContents) =>
  findEscapedKeys({ source: memoryStore(source), target: memoryStore(target), nowSeconds: NOW + 10 });

const unrefreshed = [row({ keyId: "old" })];

describe("a key that was refreshed in the target after a cut-off in the source", () => {
  test.each([
    ["of all keys", cutOff("all"), {}],
    ["of its role", cutOff("role", KEY.role), {}],
    ["of its owner", cutOff("owner", "acme"), {}],
  ])("is found after one %s", async (_, one) => {
    const found = await escaped({ cutOffs: [one], keys: unrefreshed }, { keys: refreshed() });
    expect(found).toEqual([{ keyId: "next", cutOff: one }]);
  });

  test("is found by its family if it has no owner", async () => {
    const { owner: _, ...unowned } = KEY;
    const one = cutOff("owner", KEY.family);
    const keys = [
      { record: { ...unowned, keyId: "old", ...succeededBy("next") } },
      { record: { ...unowned, keyId: "next" } },
    ];
    const source = { cutOffs: [one], keys: [{ record: { ...unowned, keyId: "old" } }] };
    expect(await escaped(source, { keys })).toEqual([{ keyId: "next", cutOff: one }]);
  });

  test("is found if it is a V1 key that was exchanged", async () => {
    const legacy = { hash: "h" };
    const target = [
      row({ keyId: "old", legacy: { ...legacy, migratedAt: NOW, successorId: "next" } }),
      row({ keyId: "next" }),
    ];
    const source = { cutOffs: [cutOff("all")], keys: [row({ keyId: "old", legacy })] };
    expect(await escaped(source, { keys: target })).toMatchObject([{ keyId: "next" }]);
  });

  test("is found if the source does not have it any more, or has another successor of it", async () => {
    for (const keys of [[], [row({ keyId: "old", ...succeededBy("another") })]]) {
      const found = await escaped({ cutOffs: [cutOff("all")], keys }, { keys: refreshed() });
      expect(found).toMatchObject([{ keyId: "next" }]);
    }
  });

  test("is found with the cut-off that revokes its predecessor, of several", async () => {
    const cutOffs = [cutOff("role", "other"), cutOff("all", "", NOW - 5), cutOff("owner", "acme")];
    const found = await escaped({ cutOffs, keys: unrefreshed }, { keys: refreshed() });
    expect(found).toEqual([{ keyId: "next", cutOff: cutOffs[2] }]);
  });

  test("is found if it was refreshed several times, also after the first successor has expired", async () => {
    const next = row({ keyId: "next", issuedAt: NOW + 2, expiresAt: NOW + 9, ...succeededBy("third") });
    const target = [refreshed()[0], next, row({ keyId: "third", issuedAt: NOW + 8 })].filter(
      (one) => one !== undefined,
    );
    const source = { cutOffs: [cutOff("all")], keys: unrefreshed };
    expect(await escaped(source, { keys: target })).toMatchObject([{ keyId: "third" }]);
  });

  test("is found once if the cut-off revokes several keys before it", async () => {
    const keys = [
      row({ keyId: "old", ...succeededBy("next") }),
      row({ keyId: "next", ...succeededBy("third") }),
      row({ keyId: "third", issuedAt: NOW + 8 }),
    ];
    const cutOffs = [cutOff("all")];
    const found = await escaped({ cutOffs, keys: unrefreshed }, { keys, cutOffs });
    expect(found).toEqual([{ keyId: "third", cutOff: cutOffs[0] }]);
  });

  test("ends the search if damaged records succeed each other in a circle", async () => {
    const keys = [
      row({ keyId: "old", ...succeededBy("next") }),
      row({ keyId: "next", issuedAt: NOW + 5, ...succeededBy("third") }),
      row({ keyId: "third", issuedAt: NOW + 5, ...succeededBy("next") }),
    ];
    const found = await escaped({ cutOffs: [cutOff("all")], keys: unrefreshed }, { keys });
    expect(found.map(({ keyId }) => keyId)).toEqual(["next", "third"]);
  });

  test("is found on every page", async () => {
    const others = ["a", "b", "c"].flatMap((name) =>
      refreshed({ keyId: name, ...succeededBy(`${name}2`) }, { keyId: `${name}2` }),
    );
    const found = await escaped({ cutOffs: [cutOff("all")] }, { keys: others });
    expect(found.map(({ keyId }) => keyId)).toEqual(["a2", "b2", "c2"]);
  });
});

describe("a key has not escaped", () => {
  const source = { cutOffs: [cutOff("all")], keys: unrefreshed };

  test("without a cut-off, or from one of other keys", async () => {
    for (const cutOffs of [[], [cutOff("role", "other")], [cutOff("owner", "other")]])
      expect(await escaped({ ...source, cutOffs }, { keys: refreshed() })).toEqual([]);
  });

  test("if its predecessor is as young as the cut-off", async () => {
    const keys = refreshed({ issuedAt: NOW + 1 });
    expect(await escaped(source, { keys })).toEqual([]);
  });

  test("if it was not refreshed, or its successor is not in the target", async () => {
    expect(await escaped(source, { keys: unrefreshed })).toEqual([]);
    expect(await escaped(source, { keys: refreshed().slice(0, 1) })).toEqual([]);
  });

  test("if the source has refreshed it itself", async () => {
    expect(await escaped({ ...source, keys: refreshed() }, { keys: refreshed() })).toEqual([]);
  });

  test.each([
    ["is revoked", { revokedAt: NOW }],
    ["has expired", { expiresAt: NOW + 10 }],
  ])("if its successor %s", async (_, next) => {
    expect(await escaped(source, { keys: refreshed({}, next) })).toEqual([]);
  });

  test.each<readonly [string, MemoryContents]>([
    ["all keys", { cutOffs: [cutOff("all", "", NOW + 6)] }],
    ["its role", { cutOffs: [cutOff("role", KEY.role, NOW + 6)] }],
    ["its owner", { cutOffs: [cutOff("owner", "acme", NOW + 6)] }],
    ["its family", { families: [{ kind: "family", family: KEY.family, until: UNTIL }] }],
  ])("if the target has revoked %s since", async (_, ended) => {
    expect(await escaped(source, { keys: refreshed(), ...ended })).toEqual([]);
  });
});
