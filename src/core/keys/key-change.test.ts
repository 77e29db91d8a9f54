import { expect, test } from "vitest";
import { KEY } from "../../../test/support/scripted-registry.ts";
import type { KeyChange } from "./key-change.ts";
import { stopsWhileFrozen } from "./key-change.ts";

const NOTHING: KeyChange = { nowSeconds: 1, put: [], audit: [] };
const revoked = { ...KEY, revokedAt: 1 };
const chosen = { phase: "active", chosen: true, version: 1 } as const;
const byPolicy = { ...chosen, chosen: false };
const override = { kind: "override", scope: "owner", subject: "a", replaces: 0, above: 0, below: 1 } as const;

test.each<readonly [what: string, change: Partial<KeyChange>, stops: boolean]>([
  ["nothing but an audit event", {}, false],
  ["an end", { end: { kind: "family", family: "f", until: 9 } }, false],
  ["a thaw", { freeze: "thaw" }, false],
  ["a revocation of keys", { put: [revoked, revoked] }, false],
  ["a new key", { put: [KEY] }, true],
  ["a new key beside a revocation", { put: [revoked, KEY] }, true],
  ["an override", { override }, true],
  ["a phase that an operator chooses", { migration: { from: undefined, to: chosen } }, true],
  [
    "a phase that an operator leaves to the policy again",
    { migration: { from: chosen, to: byPolicy } },
    true,
  ],
  ["a phase of the policy", { migration: { from: byPolicy, to: byPolicy } }, false],
  ["the first phase of the policy", { migration: { from: undefined, to: byPolicy } }, false],
  ["a lost change, whatever it has", { put: [KEY], override, isLost: true }, false],
])("a freeze and %s", (_what, change, stops) => {
  expect(stopsWhileFrozen({ ...NOTHING, ...change })).toBe(stops);
});
