import { expect, test } from "vitest";
import type { QuotaCount } from "../policy/policy.ts";
import { countOverrides } from "./count-overrides.ts";
import type { OverrideContent, StoredOverride } from "./override.ts";

const NOW = 1_800_000_000;
const COUNT: QuotaCount = { per: "owner", every: "month", timeZone: "UTC", unit: "requests" };
const POLICY = {
  plans: new Map([["team", { name: "team", over: () => expect.unreachable("no limits are applied") }]]),
  quotaCounts: new Map([["monthly", COUNT]]),
};

function override(content?: OverrideContent, more: Partial<StoredOverride> = {}): StoredOverride {
  return { kind: "override", scope: "owner", subject: "s", version: 1, ...(content && { content }), ...more };
}

const count = (...overrides: readonly StoredOverride[]) =>
  countOverrides({ entries: () => overrides }, POLICY, NOW * 1000, async () => undefined);

const quotas = (...names: readonly string[]) => names.map((name) => ({ name, limit: 1, extra: 0 }));

test("overrides are counted by what they apply to, and by their plan", async () => {
  const known = [
    override({ plan: "team" }),
    override({ plan: "team" }, { scope: "family" }),
    override({ quotas: quotas("monthly") }, { scope: "family" }),
    override({ note: "n" }, { scope: "family" }),
  ];
  expect(await count(...known)).toEqual({
    family: 3,
    owner: 1,
    byPlan: new Map([["team", 2]]),
    unknown: 0,
    unknownNames: [],
  });
  expect(await count()).toEqual({ family: 0, owner: 0, byPlan: new Map(), unknown: 0, unknownNames: [] });
});

test("an override that names anything unknown is counted once, and each unknown name is listed once, in order", async () => {
  const counted = await count(
    override({ plan: "silver", quotas: quotas("weekly", "monthly", "daily") }),
    override({ plan: "silver" }),
    override({ plan: "team", quotas: quotas("daily") }),
    override({ plan: "team" }),
  );
  expect(counted).toMatchObject({ unknown: 3, unknownNames: ["daily", "silver", "weekly"] });
  expect(counted.byPlan).toEqual(
    new Map([
      ["silver", 2],
      ["team", 2],
    ]),
  );
});

test("overrides that have expired or were cleared are not counted", async () => {
  const counted = await count(
    override({ plan: "silver" }, { expiresAt: NOW }),
    override(),
    override({ plan: "team" }, { expiresAt: NOW + 1 }),
  );
  expect(counted).toEqual({
    family: 0,
    owner: 1,
    byPlan: new Map([["team", 1]]),
    unknown: 0,
    unknownNames: [],
  });
});
