import { describe, expect, test } from "vitest";
import { admin, NOW, scriptedRegistry } from "../../../test/support/scripted-registry.ts";
import type { CallOrigin } from "../keys/operation-audit.ts";
import type { LegacyEntry } from "./import-entry.ts";
import { recordFor } from "./import-entry.ts";

const entry: LegacyEntry = { line: 1, key: "v1 key", name: "n", role: "contributor" };
const anonymous: CallOrigin = { caller: { kind: "anonymous", address: "192.0.2.1" } };

/** The record of an entry, where cut-offs ended what was issued before `cutOff`. */
function imported(more: Partial<LegacyEntry>, origin = admin, cutOff = 0) {
  const { registry } = scriptedRegistry();
  const legacy = {
    isPlausible: (key: string) => key !== "wrong",
    storedForm: (key: string) => ({ hash: `hash of ${key}`, alias: `alias of ${key}` }),
    hashOfDigest: (hex: string) => `hash of digest ${hex}`,
  };
  return recordFor(
    { ...registry, legacy, view: { cutOffBefore: () => cutOff } },
    { ...entry, ...more },
    origin,
  );
}

describe("an entry", () => {
  test("becomes a record of its role, which never expires and is dated now", () => {
    expect(imported({})).toStrictEqual({
      keyId: `contributor_${NOW}_v1random2`,
      family: "fam_v1random1",
      familyStartedAt: NOW,
      role: "contributor",
      scopes: ["chat:read", "chat:write"],
      name: "n",
      issuedAt: NOW,
      expiresAt: 253_402_300_799,
      refreshAfter: 253_402_300_799,
      selfService: false,
      disabled: false,
      legacy: { hash: "hash of v1 key", alias: "alias of v1 key" },
      version: 1,
    });
  });

  test("keeps its owner and its times", () => {
    const times = { createdAt: NOW - 9, expiresAt: NOW + 1 };
    expect(imported({ owner: "acme", ...times })).toMatchObject({
      owner: "acme",
      issuedAt: NOW - 9,
      expiresAt: NOW + 1,
    });
    expect(imported({ createdAt: 0 })).toMatchObject({ issuedAt: 0 });
    expect(imported({ createdAt: NOW })).toMatchObject({ issuedAt: NOW });
  });

  test("with a digest instead of the key is found by it", () => {
    const { key: _, ...digested } = { ...entry, sha256Hex: "ab" };
    const { registry } = scriptedRegistry();
    // A digest has no checksum that could be wrong.
    const isPlausible = () => false;
    const legacy = {
      ...registry.legacy,
      isPlausible,
      hashOfDigest: (hex: string) => `hash of digest ${hex}`,
    };
    expect(recordFor({ ...registry, legacy }, digested, admin)).toMatchObject({
      legacy: { hash: "hash of digest ab" },
    });
  });

  test("without a date is dated behind the cut-offs of its role and owner, if these are not far ahead", () => {
    expect(imported({}, admin, NOW + 3)).toMatchObject({ issuedAt: NOW + 3 });
    expect(imported({}, admin, NOW + 4)).toBe(
      "keys of this role or owner have been cut off a few seconds ahead: import it later",
    );
    expect(imported({ createdAt: NOW - 5 }, admin, NOW + 4)).toMatchObject({ issuedAt: NOW - 5 });
    expect(imported({}, admin, NOW - 5)).toMatchObject({ issuedAt: NOW });
  });

  test("without a date is dated behind what ended the keys of its role, or of its owner, and no others", () => {
    const { registry } = scriptedRegistry();
    const cutOff = (scope: "role" | "owner", subject: string, before: number) =>
      ({ kind: "cutoff", scope, subject, before, until: NOW + 99 }) as const;
    registry.view.apply([cutOff("role", "contributor", NOW + 1), cutOff("owner", "acme", NOW + 2)]);
    const dated = (more: Partial<LegacyEntry>) => recordFor(registry, { ...entry, ...more }, admin);
    expect(dated({})).toMatchObject({ issuedAt: NOW + 1 });
    expect(dated({ owner: "acme" })).toMatchObject({ issuedAt: NOW + 2 });
    expect(dated({ role: "basic", owner: "acme" })).toMatchObject({ issuedAt: NOW + 2 });
    expect(dated({ role: "basic", owner: "globex" })).toMatchObject({ issuedAt: NOW });
  });

  test.each<readonly [problem: string, more: Partial<LegacyEntry>, origin: CallOrigin]>([
    ["the policy has no such role", { role: "v1 key" }, admin],
    ["the role contributor is not yours to grant", {}, anonymous],
    ["the key could never be used: its checksum does not fit", { key: "wrong" }, admin],
    ["has expired", { expiresAt: NOW }, admin],
    ["created_at lies ahead", { createdAt: NOW + 1 }, admin],
    ["created_at lies before 1970", { createdAt: -1 }, admin],
  ])("is rejected: %s", (problem, more, origin) => {
    expect(imported(more, origin)).toBe(problem);
  });
});
