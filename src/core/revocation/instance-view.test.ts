import { expect, test } from "vitest";
import type { StoredOverride } from "../overrides/override.ts";
import { KEEP_CLEARED_SECONDS } from "../overrides/override.ts";
import type { ViewEntry } from "./instance-view.ts";
import { createInstanceView } from "./instance-view.ts";

const NOW = 1_800_000_000;
const revoked: ViewEntry = {
  kind: "key",
  keyId: "k1",
  version: 2,
  expiresAt: NOW + 1000,
  revoked: true,
  disabled: false,
};
const override: StoredOverride = {
  kind: "override",
  scope: "owner",
  subject: "acme",
  version: NOW * 1000,
  expiresAt: NOW + 5,
  content: { plan: "team" },
};

function viewOf(...entries: readonly ViewEntry[]) {
  const view = createInstanceView();
  view.apply(entries);
  return view;
}

test("revocations and overrides are kept side by side, and are all written back", () => {
  const view = viewOf(revoked, override);
  expect(view.size()).toBe(2);
  expect([...view.entries()]).toEqual([revoked, override]);
  expect(view.standing("k1")).toEqual(revoked);
  expect(view.overrides.inForce("owner", "acme", NOW * 1000)).toEqual(override);
});

test("the view includes exactly what was applied", () => {
  expect([revoked, override].map(viewOf(revoked).includes)).toEqual([true, false]);
  expect([revoked, override].map(viewOf(override).includes)).toEqual([false, true]);
  expect(viewOf().includes({ kind: "forgotten", before: NOW })).toBe(false);
});

test("discarding the overrides keeps the revocations", () => {
  const view = viewOf(revoked, override);
  view.discardOverrides();
  expect([...view.entries()]).toEqual([revoked]);
});

test("a sweep forgets an override once nothing needs it, and expired revocations", async () => {
  const view = viewOf(revoked, override);
  const sweep = (before: number) => view.sweep(before * 1000, async () => undefined);
  await sweep(NOW + 1000);
  expect([...view.entries()]).toEqual([override]);
  const forgetAt = NOW + 5 + KEEP_CLEARED_SECONDS;
  await sweep(forgetAt - 1);
  expect(view.size()).toBe(1);
  await sweep(forgetAt);
  expect(view.size()).toBe(0);
});
