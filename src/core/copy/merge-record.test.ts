import { describe, expect, test } from "vitest";
import { KEY, NOW } from "../../../test/support/scripted-registry.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import { mergeRecord } from "./merge-record.ts";

const record = (more: Partial<KeyRecord> = {}): KeyRecord => ({ ...KEY, ...more });
const successor = (keyId: string) => ({ keyId, at: NOW, notAfter: NOW + 60 });
const legacy = (more: object = {}) => ({ legacy: { hash: "h", ...more } });

test("a record that the target lacks is copied as it is", () => {
  const source = record();
  expect(mergeRecord(source, undefined)).toBe(source);
});

test("a record that the target has needs no write", () => {
  expect(mergeRecord(record(), record())).toBeUndefined();
});

describe("the newer version counts", () => {
  const [older, newer] = [record({ version: 1, name: "older" }), record({ version: 2, name: "newer" })];

  test("as it is, if the source has it", () => {
    expect(mergeRecord(newer, older)).toBe(newer);
  });

  test("and stays, if the target has it", () => {
    expect(mergeRecord(older, newer)).toBeUndefined();
  });

  test("by the time of its change, whatever the versions are", () => {
    const [changed, repeated] = [
      record({ version: 2, changedAt: 5000, name: "changed" }),
      record({ version: 9, changedAt: 4000, name: "repeated" }),
    ];
    expect(mergeRecord(changed, repeated)).toBe(changed);
    expect(mergeRecord(repeated, changed)).toBeUndefined();
  });

  test("by its version, if both were changed at the same time", () => {
    const [one, two] = [
      record({ version: 1, changedAt: 5000, name: "one" }),
      record({ version: 2, changedAt: 5000, name: "two" }),
    ];
    expect(mergeRecord(two, one)).toBe(two);
    expect(mergeRecord(one, two)).toBeUndefined();
  });
});

describe("the end of a key stays, whichever version has it", () => {
  const ends: readonly (readonly [what: string, end: Partial<KeyRecord>])[] = [
    ["a revocation", { revokedAt: NOW }],
    ["a successor", { successor: successor("next") }],
  ];

  test.each(ends)("%s of the older version in the target", (_, end) => {
    const merged = mergeRecord(
      record({ version: 3, changedAt: 5000, name: "newer" }),
      record({ ...end, version: 2, changedAt: 4000 }),
    );
    expect(merged).toEqual(record({ ...end, name: "newer", version: 4, changedAt: 5001 }));
  });

  test.each(ends)("%s of the older version in the source", (_, end) => {
    const merged = mergeRecord(
      record({ ...end, version: 2, changedAt: 4000 }),
      record({ version: 3, changedAt: 5000, name: "newer" }),
    );
    expect(merged).toEqual(record({ ...end, name: "newer", version: 4, changedAt: 5001 }));
  });

  test("of two, the one of the newer version", () => {
    const newer = record({ version: 2, revokedAt: NOW + 5, successor: successor("newer") });
    expect(mergeRecord(newer, record({ revokedAt: NOW, successor: successor("older") }))).toBe(newer);
  });

  test("the exchange of a V1 key", () => {
    const exchanged = record(legacy({ migratedAt: NOW, successorId: "v2" }));
    const newer = record({ version: 2, ...legacy({ alias: "a" }) });
    expect(mergeRecord(newer, exchanged)).toEqual(
      record({
        ...legacy({ alias: "a", migratedAt: NOW, successorId: "v2" }),
        ...{ version: 3, changedAt: 3 },
      }),
    );
    expect(mergeRecord(exchanged, newer)?.legacy).toEqual({
      hash: "h",
      ...{ alias: "a", migratedAt: NOW, successorId: "v2" },
    });
  });

  test("the exchange of a V1 key without a successor", () => {
    const exchanged = record(legacy({ migratedAt: NOW }));
    expect(mergeRecord(record({ version: 2, ...legacy() }), exchanged)?.legacy).toStrictEqual({
      hash: "h",
      migratedAt: NOW,
    });
  });

  test("of two exchanges, the one of the newer version", () => {
    const newer = record({ version: 2, ...legacy({ migratedAt: NOW + 5, successorId: "newer" }) });
    expect(mergeRecord(newer, record(legacy({ migratedAt: NOW, successorId: "older" })))).toBe(newer);
  });

  test("a V1 key that was never exchanged stays so", () => {
    const newer = record({ version: 2, ...legacy() });
    expect(mergeRecord(newer, record(legacy()))).toBe(newer);
  });
});

describe("a key that only one version disables", () => {
  test.each([
    ["is disabled, if both versions are equally new", 2, 2, true],
    ["follows the newer one, which enables it", 3, 2, false],
  ])("%s", (_, enabling, disabling, disabled) => {
    const [enabled, other] = [
      record({ version: enabling, changedAt: enabling }),
      record({ version: disabling, changedAt: disabling, disabled: true }),
    ];
    for (const [source, stored] of [
      [enabled, other],
      [other, enabled],
    ] as const)
      expect((mergeRecord(source, stored) ?? stored).disabled).toBe(disabled);
  });

  test("is disabled by the newer one", () => {
    const newer = record({ version: 2, disabled: true });
    expect(mergeRecord(newer, record())).toBe(newer);
  });
});

test("of two changes with one version the target's stays, with the end that the source has, newer than both", () => {
  const [revoked, renamed] = [
    record({ version: 4, changedAt: 7000, revokedAt: NOW }),
    record({ version: 4, changedAt: 7000, name: "renamed" }),
  ];
  expect(mergeRecord(revoked, renamed)).toEqual({
    ...renamed,
    ...{ revokedAt: NOW, version: 5, changedAt: 7001 },
  });
  // The target has the end already.
  expect(mergeRecord(renamed, revoked)).toBeUndefined();
});
