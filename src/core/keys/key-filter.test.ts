import { describe, expect, test } from "vitest";
import { KEY, NOW } from "../../../test/support/scripted-registry.ts";
import type { KeyFilter } from "./key-filter.ts";
import { createMatcher, indexFor, isAnsweredByIndex, isUnusedSince } from "./key-filter.ts";
import type { KeyRecord } from "./key-record.ts";
import { isLive, viewOf, withLastUse } from "./key-view.ts";

const { family } = KEY;
const { owner: _, ...unowned } = KEY;
const named: KeyRecord = { ...KEY, plan: "team", name: "Ada's key" };

describe("a key matches", () => {
  test.each<readonly [filter: KeyFilter, matches: boolean, record: KeyRecord]>([
    [{}, true, named],
    [{ role: "contributor" }, true, named],
    [{ role: "basic" }, false, named],
    [{ owner: "acme" }, true, named],
    [{ owner: "other" }, false, named],
    [{ owner: family }, false, named],
    [{ owner: family }, true, unowned],
    [{ family }, true, named],
    [{ family: "fam_x" }, false, named],
    [{ status: "active" }, true, named],
    [{ status: "revoked" }, false, named],
    [{ plan: "team" }, true, named],
    [{ plan: "team" }, false, KEY],
    [{ namePrefix: "Ada" }, true, named],
    [{ namePrefix: "da" }, false, named],
    [{ namePrefix: "ada" }, false, named],
    [{ search: "ADA'S" }, true, named],
    [{ search: "acm" }, true, named],
    [{ search: "1800000000_A" }, true, named],
    [{ search: "fam_a" }, true, named],
    [{ search: "fam_a" }, true, unowned],
    [{ search: "none" }, false, named],
    [{ issuedBefore: NOW + 1 }, true, named],
    [{ issuedBefore: NOW }, false, named],
    [{ expiringBefore: NOW + 1001 }, true, named],
    [{ expiringBefore: NOW + 1000 }, false, named],
    [{ role: "contributor", owner: "other" }, false, named],
    [{ unusedSince: 0 }, true, named],
  ])("%j: %s", (filter, matches, record) => {
    expect(createMatcher(filter)({ record, status: "active" })).toBe(matches);
  });
});

describe("the index of a filter", () => {
  test.each<readonly [filter: KeyFilter, index: object | undefined, answers: boolean]>([
    [{}, undefined, true],
    [{ role: "basic" }, undefined, false],
    [{ family }, { family }, true],
    [{ owner: "acme" }, { owner: "acme" }, true],
    [{ family, owner: "acme" }, { family }, false],
    [{ owner: "acme", status: "active" }, { owner: "acme" }, false],
    // Keys without an owner are in no owner's index.
    [{ owner: family }, undefined, false],
  ])("%j is %j, and its records all match: %s", (filter, index, answers) => {
    expect(indexFor(filter)).toEqual(index);
    expect(isAnsweredByIndex(filter)).toBe(answers);
  });

  test("ignores a member without a value", () => {
    const filter: object = { family, role: undefined };
    expect(isAnsweredByIndex(filter)).toBe(true);
  });
});

test("a key that was never used counts as used at its issue date", () => {
  const view = { record: KEY, status: "active" } as const;
  expect(isUnusedSince(view, NOW + 1)).toBe(true);
  expect(isUnusedSince(view, NOW)).toBe(false);
  expect(isUnusedSince({ ...view, lastUsedAt: NOW + 5 }, NOW + 5)).toBe(false);
  expect(isUnusedSince({ ...view, lastUsedAt: NOW + 5 }, NOW + 6)).toBe(true);
});

describe("the view of a key", () => {
  const viewAt = (record: KeyRecord, nowSeconds: number, ends?: "key_revoked" | "key_disabled") =>
    viewOf({ view: { endReason: () => ends }, nowMs: () => nowSeconds * 1000 + 999 }, record);

  test("is revoked if its family or a cut-off ended, and else has the status of the record", () => {
    expect(viewAt(KEY, NOW)).toEqual({ record: KEY, status: "active" });
    expect(viewAt(KEY, NOW, "key_revoked")).toEqual({ record: KEY, status: "revoked" });
    expect(viewAt(KEY, NOW, "key_disabled")).toEqual({ record: KEY, status: "active" });
    expect(viewAt(KEY, NOW + 999)).toMatchObject({ status: "active" });
    expect(viewAt(KEY, NOW + 1000)).toMatchObject({ status: "expired" });
  });

  test("is live if Checks accept the key", () => {
    const superseded = { ...KEY, successor: { keyId: "k2", at: NOW, notAfter: NOW + 9 } };
    expect(isLive({ record: KEY, status: "active" }, NOW)).toBe(true);
    expect(isLive({ record: KEY, status: "disabled" }, NOW)).toBe(false);
    expect(isLive({ record: superseded, status: "superseded" }, NOW + 8)).toBe(true);
    expect(isLive({ record: superseded, status: "superseded" }, NOW + 9)).toBe(false);
    expect(isLive({ record: KEY, status: "superseded" }, NOW)).toBe(false);
    expect(isLive({ record: superseded, status: "revoked" }, NOW)).toBe(false);
  });

  test("has the last use of exactly its key", async () => {
    const views = [KEY, { ...KEY, keyId: "k2" }].map((record) => ({ record, status: "active" }) as const);
    const asked: string[][] = [];
    const store = {
      lastUsed: async (keyIds: readonly string[]) => {
        asked.push([...keyIds]);
        return new Map([["k2", NOW]]);
      },
    };
    expect(await withLastUse({ store }, views)).toStrictEqual([views[0], { ...views[1], lastUsedAt: NOW }]);
    expect(asked).toEqual([[KEY.keyId, "k2"]]);
  });
});
