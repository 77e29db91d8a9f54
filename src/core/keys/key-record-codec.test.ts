import { describe, expect, test } from "vitest";
import { KEY, NOW } from "../../../test/support/scripted-registry.ts";
import type { KeyRecord } from "./key-record.ts";
import { decodeRecord, decodeWholeRecord, encodeRecord } from "./key-record-codec.ts";

const { owner: _, ...least } = KEY;
const most: KeyRecord = {
  ...KEY,
  plan: "team",
  scopes: ["a", "b"],
  metadata: '{"a":1}',
  selfService: true,
  ttlSeconds: 60,
  disabled: true,
  revokedAt: NOW + 1,
  successor: { keyId: "k2", at: NOW, notAfter: NOW + 9, idempotency: "digest" },
  nets: ["192.0.2.0/24", "::/0"],
  certificate: "c",
  legacy: { hash: "h", alias: "a", migratedAt: NOW, successorId: "k3" },
  version: 7,
  changedAt: NOW * 1000,
};

test.each<readonly [what: string, record: KeyRecord]>([
  ["the fewest members", least],
  ["all members", most],
  ["no scopes", { ...KEY, scopes: [] }],
  ["a successor without Idempotency-Key", { ...KEY, successor: { keyId: "k2", at: NOW, notAfter: NOW } }],
  ["a V1 key that was never exchanged", { ...KEY, legacy: { hash: "h" } }],
  ["a V1 key with an alias", { ...KEY, legacy: { hash: "h", alias: "a" } }],
  ["a V1 key that was exchanged", { ...KEY, legacy: { hash: "h", migratedAt: NOW, successorId: "k3" } }],
])("a record with %s survives the store", (_what, record) => {
  expect(decodeRecord(record.keyId, encodeRecord(record))).toStrictEqual(record);
});

test("a record without a member stores nothing for it", () => {
  expect(Object.keys(JSON.parse(encodeRecord(least))).join("")).toBe("vfbrcniea");
  expect(
    Object.keys(JSON.parse(encodeRecord(most)))
      .sort()
      .join(""),
  ).toBe("abcdefhiklmnoprtuvwxy");
});

describe("a damaged record must not seem absent", () => {
  const { keyId } = most;
  const stored: Readonly<Record<string, unknown>> = JSON.parse(encodeRecord(most));
  const required = ["v", "f", "b", "r", "c", "n", "i", "e", "a"];

  test.each(Object.keys(stored))(
    "the member %s must have its type, and a required one must exist",
    (name) => {
      for (const value of [{}, null, [], typeof stored[name] === "string" ? 5 : "text", 0.5, true])
        expect(() => decodeRecord(keyId, JSON.stringify({ ...stored, [name]: value }))).toThrow(
          `the record of ${keyId} is damaged`,
        );
      const { [name]: _absent, ...rest } = stored;
      const decode = () => decodeRecord(keyId, JSON.stringify(rest));
      if (required.includes(name)) expect(decode).toThrow("is damaged");
      else expect(decode).not.toThrow();
    },
  );

  test.each(["null", "5", '"text"', "[]", "{}"])("the text %j throws", (text) => {
    expect(() => decodeRecord(keyId, text)).toThrow("is damaged");
  });

  test.each(["", "no JSON"])("the text %j throws, because it is no JSON", (text) => {
    expect(() => decodeRecord(keyId, text)).toThrow(SyntaxError);
  });

  test.each<readonly [name: string, value: readonly unknown[]]>([
    ["u", [5, NOW, NOW, "d"]],
    ["u", ["k2", "x", NOW, "d"]],
    ["u", ["k2", NOW, "x", "d"]],
    ["u", ["k2", NOW, NOW, 5]],
    ["l", [5, "a", NOW, "k3"]],
    ["l", ["h", 5, NOW, "k3"]],
    ["l", ["h", "a", "x", "k3"]],
    ["l", ["h", "a", NOW, 5]],
    ["l", ["h", "a", NOW]],
  ])("the member %s with %j throws", (name, value) => {
    expect(() => decodeRecord(keyId, JSON.stringify({ ...stored, [name]: value }))).toThrow("is damaged");
  });

  test("a flag is 1 or absent", () => {
    for (const name of ["y", "d"])
      expect(() => decodeRecord(keyId, JSON.stringify({ ...stored, [name]: 0 }))).toThrow("is damaged");
  });
});

test("a copy takes no record of which it would lose a member", () => {
  const text = encodeRecord(most);
  expect(decodeWholeRecord(most.keyId, text)).toStrictEqual(most);
  const newer = JSON.stringify({ ...JSON.parse(text), z: 1 });
  expect(decodeRecord(most.keyId, newer)).toStrictEqual(most);
  expect(() => decodeWholeRecord(most.keyId, newer)).toThrow("was written by a newer Latchkey");
});
