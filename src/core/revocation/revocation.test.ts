import { describe, expect, test } from "vitest";
import { KEY, NOW } from "../../../test/support/scripted-registry.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import { restrictRecord } from "./restrict-record.ts";
import type { KeyRestriction } from "./revocation.ts";
import { endsKey, restrictionOf } from "./revocation.ts";

const { keyId, expiresAt } = KEY;
const own = { kind: "key", keyId, version: 1, expiresAt, revoked: false, disabled: false } as const;
const superseded = (notAfter: number) => ({ successor: { keyId: "k2", at: NOW, notAfter } });

describe("the restriction of a record", () => {
  test.each<
    readonly [what: string, members: Partial<KeyRecord>, expected: Partial<KeyRestriction>, ends: boolean]
  >([
    ["without an end restricts nothing", {}, {}, false],
    ["has the time of the last change as its version", { version: 3, changedAt: 99 }, { version: 99 }, false],
    ["that is revoked ends the key", { revokedAt: NOW }, { revoked: true }, true],
    ["that is disabled ends the key", { disabled: true }, { disabled: true }, true],
    ["with a successor ends the key", superseded(expiresAt - 1), { notAfter: expiresAt - 1 }, true],
    ["whose overlap lasts until its expiry restricts nothing", superseded(expiresAt), {}, false],
  ])("%s", (_what, members, expected, ends) => {
    const restriction = restrictionOf({ ...KEY, ...members });
    expect(restriction).toStrictEqual({ ...own, ...expected });
    expect(endsKey(restriction)).toBe(ends);
  });
});

describe("a record with a known restriction", () => {
  const known = { ...own, version: 5 };

  test("without one stays as it is", () => {
    expect(restrictRecord(KEY, undefined, NOW)).toStrictEqual({ record: KEY, restriction: own });
  });

  test("that is newer takes its state and its version", () => {
    expect(restrictRecord(KEY, { ...known, disabled: true }, NOW)).toStrictEqual({
      record: { ...KEY, disabled: true, changedAt: 5 },
      restriction: { ...known, disabled: true },
    });
    expect(restrictRecord({ ...KEY, disabled: true }, known, NOW)).toStrictEqual({
      record: { ...KEY, changedAt: 5 },
      restriction: known,
    });
  });

  test("that is as old keeps its version, and the stricter state", () => {
    expect(restrictRecord({ ...KEY, disabled: true }, own, NOW).record).toStrictEqual({
      ...KEY,
      disabled: true,
    });
    const newer = { ...KEY, changedAt: 7 };
    expect(restrictRecord(newer, { ...known, disabled: true }, NOW).record).toStrictEqual(newer);
  });

  test("that revokes it is revoked now, unless the record says when", () => {
    const revoked = { ...known, version: 1, revoked: true };
    expect(restrictRecord(KEY, revoked, NOW).record).toStrictEqual({ ...KEY, revokedAt: NOW });
    const before = { ...KEY, revokedAt: NOW - 9 };
    expect(restrictRecord(before, revoked, NOW).record).toStrictEqual(before);
    expect(restrictRecord(before, known, NOW).restriction).toMatchObject({ revoked: true, version: 5 });
  });
});
