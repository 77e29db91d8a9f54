import { expect, test } from "vitest";
import { createInstanceView } from "../revocation/instance-view.ts";
import { planUseRun } from "./count-plans.ts";
import type { KeyRecord } from "./key-record.ts";

const NOW = 1_800_000_000;

function key(id: number, more: Partial<KeyRecord> = {}): KeyRecord {
  return {
    keyId: `basic_${NOW}_${String(id).padStart(22, "a")}`,
    family: `fam_${String(id).padStart(22, "a")}`,
    familyStartedAt: NOW,
    role: "basic",
    scopes: [],
    name: "n",
    issuedAt: NOW,
    expiresAt: NOW + 1000,
    refreshAfter: NOW,
    selfService: false,
    disabled: false,
    version: 1,
    ...more,
  };
}

async function count(records: readonly KeyRecord[], endedFamily?: string) {
  const view = createInstanceView();
  if (endedFamily !== undefined) view.apply([{ kind: "family", family: endedFamily, until: NOW + 5000 }]);
  const pages: number[] = [];
  const run = planUseRun({
    view,
    nowMs: () => NOW * 1000,
    store: {
      async page({ cursor = "0", limit }) {
        const from = Number(cursor);
        pages.push(limit);
        const entries = records.slice(from, from + limit).map((record) => ({ record, cursor: "" }));
        const next = from + limit;
        return next < records.length ? { entries, nextCursor: String(next) } : { entries };
      },
    },
    policy: () => ({
      roles: new Map([
        ["basic", { plan: { name: "starter" } }],
        ["bare", {}],
      ]),
    }),
  });
  /** The number of keys that were read when others could work. */
  const paces: number[] = [];
  await run.read(async () => void paces.push(run.soFar().keysRead));
  return { ...run.soFar(), pages, paces };
}

test("counts live keys by their own plan, or that of their role", async () => {
  const superseded = { keyId: "x", at: NOW, notAfter: NOW + 100 };
  const { byPlan, keysRead } = await count(
    [
      key(1),
      key(2, { plan: "pro" }),
      key(3, { role: "bare" }),
      key(4, { role: "gone", plan: "old" }),
      key(5, { disabled: true }),
      key(6, { revokedAt: NOW }),
      key(7, { expiresAt: NOW }),
      key(8, { successor: superseded }),
      key(9),
      key(10, { role: "gone" }),
    ],
    key(9).family,
  );
  expect(Object.fromEntries(byPlan)).toEqual({ starter: 2, pro: 1, old: 1 });
  expect(keysRead).toBe(10);
});

test("reads every key, a portion at a time, and lets others work after each", async () => {
  const { byPlan, pages, paces } = await count(Array.from({ length: 1001 }, (_, id) => key(id)));
  expect(byPlan.get("starter")).toBe(1001);
  expect(Math.max(...pages)).toBeLessThanOrEqual(250);
  expect(pages).toHaveLength(5);
  expect(paces).toEqual([250, 500, 750, 1000, 1001]);
});

test("fails if the store does not know the cursor that it has returned, and counts no part as the whole", async () => {
  const run = planUseRun({
    view: createInstanceView(),
    nowMs: () => NOW * 1000,
    store: { page: async () => "cursor_unknown" },
    policy: () => ({ roles: new Map() }),
  });
  await expect(run.read(async () => undefined)).rejects.toThrow("does not know its cursor");
});
