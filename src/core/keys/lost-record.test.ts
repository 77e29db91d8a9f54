import { expect, test } from "vitest";
import type { KeyRecord } from "./key-record.ts";
import { mergeLost, worstOf } from "./lost-record.ts";

const stored: KeyRecord = {
  keyId: "basic_1_a",
  family: "fam_a",
  familyStartedAt: 1,
  role: "basic",
  scopes: [],
  name: "n",
  issuedAt: 1,
  expiresAt: 9,
  refreshAfter: 5,
  selfService: false,
  disabled: false,
  legacy: { hash: "h", alias: "a" },
  version: 3,
};
const successor = (keyId: string) => ({ keyId, at: 2, notAfter: 9 });
const merged = (lost: Partial<KeyRecord>, isPatch = false, of: Partial<KeyRecord> = {}) =>
  mergeLost({ ...stored, ...of }, { ...stored, ...lost }, isPatch);

test("a successor, a revocation and an exchange are added, each as one more version of what is stored", () => {
  for (const lost of [
    { successor: successor("s") },
    { revokedAt: 4 },
    { legacy: { hash: "h", alias: "a", migratedAt: 4, successorId: "s" } },
  ])
    expect(merged(lost)).toEqual({ record: { ...stored, ...lost, version: 4 }, outcome: "entered" });
});

test("a hash that was renewed since stays", () => {
  const legacy = { hash: "old", migratedAt: 4 };
  expect(merged({ legacy }).record.legacy).toEqual({ hash: "h", alias: "a", migratedAt: 4 });
});

test("what the store has, is not taken away or replaced", () => {
  const has = { successor: successor("kept"), revokedAt: 2, legacy: { hash: "h", migratedAt: 1 } };
  const { record, outcome } = merged({ successor: successor("lost"), revokedAt: 4 }, false, has);
  expect([record, outcome]).toEqual([{ ...stored, ...has }, "conflicting"]);
  expect(merged({}, false, has)).toEqual({ record: { ...stored, ...has }, outcome: "restored" });
  const later = { hash: "h", migratedAt: 4, successorId: "lost" };
  expect(merged({ legacy: later }, false, has).record).toEqual({ ...stored, ...has });
});

test("the same successor is no conflict, and a conflict keeps what else is missing", () => {
  const same = { successor: successor("s") };
  expect(merged(same, false, same)).toEqual({ record: { ...stored, ...same }, outcome: "restored" });
  expect(merged({ successor: successor("lost"), revokedAt: 4 }, false, same)).toEqual({
    record: { ...stored, ...same, revokedAt: 4, version: 4 },
    outcome: "conflicting",
  });
});

test("a name or metadata that differs is reported only for a change of these", () => {
  for (const lost of [{ name: "lost" }, { metadata: "{}" }]) {
    expect(merged(lost, true)).toEqual({ record: stored, outcome: "not_applied" });
    expect(merged(lost)).toEqual({ record: stored, outcome: "restored" });
  }
  expect(merged({ disabled: true }, true)).toEqual({ record: stored, outcome: "restored" });
});

test("of several outcomes, the one that needs an operator counts", () => {
  expect(worstOf(["restored", "conflicting", "entered"])).toBe("conflicting");
  expect(worstOf(["restored", "entered_revoked", "entered"])).toBe("entered_revoked");
  expect(worstOf([])).toBe("restored");
});
