import { describe, expect, test } from "vitest";
import type { Held } from "../../../test/support/scripted-registry.ts";
import { admin, BASIC, NOW, scriptedRegistry } from "../../../test/support/scripted-registry.ts";
import type { CommitOutcome } from "../keys/key-change.ts";
import type { CallOrigin } from "../keys/operation-audit.ts";
import type { RegistryDenial } from "../keys/registry-denial.ts";
import { denied } from "../keys/registry-denial.ts";
import type { OverrideContent, StoredOverride } from "./override.ts";
import { MAX_OVERRIDES } from "./override.ts";
import { clearOverride, setOverride } from "./override-administration.ts";

const acme = { scope: "owner", subject: "acme" } as const;
const family = { scope: "family", subject: "fam_a" } as const;
const TEAM = { content: { plan: "team" } } as const;
const VERSION = NOW * 1000;
const committed = (overrideVersion: number): CommitOutcome => ({ kind: "committed", overrideVersion });

/** May assign the plan `team`, and no other one. */
const seller: CallOrigin = {
  caller: {
    kind: "key",
    id: "k",
    role: { ...BASIC, mayAssignPlans: ["team"] },
    scopes: ["limits:write"],
  },
};

function acmeHas(more: Partial<StoredOverride> = {}): StoredOverride {
  return { kind: "override", ...acme, version: VERSION, ...TEAM, ...more };
}

/** An instance that knows some overrides, on a store that may have another one. */
function instance(held: Held = {}, known: readonly StoredOverride[] = [], ...outcomes: CommitOutcome[]) {
  const scripted = scriptedRegistry(held, outcomes);
  scripted.registry.view.apply(known);
  return scripted;
}

describe("an override that an operator sets", () => {
  test("is written with its audit event, and applies to this instance's Checks at once", async () => {
    const { registry, asked, known } = instance({}, [], committed(VERSION));
    const content = {
      plan: "team",
      quotas: [
        { name: "monthly", limit: 500, extra: 0 },
        { name: "monthly", limit: 0, extra: 7 },
      ],
      note: "ticket 1",
    };
    const expiresAt = NOW + 60;
    expect(await setOverride(registry, acme, { content, expiresAt }, admin)).toBe("done");
    expect(asked).toMatchObject([
      {
        put: [],
        override: {
          kind: "override",
          ...acme,
          content,
          expiresAt,
          replaces: 0,
          above: 0,
          below: MAX_OVERRIDES,
        },
        audit: [
          {
            event: "limits_set",
            outcome: "done",
            actor: "admin:ops",
            owner: "acme",
            plan: "team",
            reason: "monthly=500, monthly=0+7, until 2027-01-15T08:01:00.000Z, note: ticket 1",
          },
        ],
      },
    ]);
    expect(known()).toEqual([{ kind: "override", ...acme, version: VERSION, content, expiresAt }]);
  });

  test("of a family names the family in the audit event, and nothing that it lacks", async () => {
    const { registry, asked } = instance();
    await setOverride(registry, family, { content: {} }, admin);
    const [change] = asked;
    expect(change?.audit).toEqual([
      {
        eventId: "random1",
        atMs: NOW * 1000,
        event: "limits_set",
        outcome: "done",
        actor: "admin:ops",
        family: "fam_a",
      },
    ]);
    expect(change?.override).not.toHaveProperty("expiresAt");
  });

  test("replaces the stored one, with a version above the one that this instance knows", async () => {
    const { registry, asked } = instance({ override: acmeHas({ version: 5 }) }, [acmeHas({ version: 9 })]);
    await setOverride(registry, acme, TEAM, admin);
    expect(asked).toMatchObject([{ override: { replaces: 5, above: 9 } }]);
  });

  const quotas = (...names: readonly string[]) => names.map((name) => ({ name, limit: 1, extra: 0 }));
  const buyer: CallOrigin = { caller: { kind: "key", id: "k", role: BASIC, scopes: ["limits:write"] } };
  test.each<readonly [what: string, content: OverrideContent, origin: CallOrigin, reason: RegistryDenial]>([
    ["a plan that the policy does not have", { plan: "gone" }, admin, "plan_unknown"],
    ["a plan that the caller may not assign", { plan: "team" }, buyer, "plan_not_assignable"],
    ["a quota that the policy does not have", { quotas: quotas("monthly", "gone") }, admin, "quota_unknown"],
  ])("is denied for %s, and nothing is written", async (_what, content, origin, reason) => {
    const { registry, asked } = instance();
    expect(await setOverride(registry, acme, { content }, origin)).toEqual(denied(reason));
    expect(asked).toEqual([]);
  });

  test("is denied if the store is full, and repeated if another change came first", async () => {
    const full = instance({}, [], { kind: "too_many_overrides" });
    expect(await setOverride(full.registry, acme, TEAM, admin)).toEqual(denied("too_many_overrides"));
    const { registry, asked } = instance({}, [], { kind: "conflict" }, committed(VERSION));
    expect(await setOverride(registry, acme, TEAM, admin)).toBe("done");
    expect(asked).toHaveLength(2);
  });
});

test("an override is cleared by an entry without content, also if the store has none", async () => {
  for (const held of [{}, { override: acmeHas() }]) {
    const { registry, asked, known } = instance(held, [], committed(VERSION + 1));
    expect(await clearOverride(registry, acme, admin)).toBe("done");
    expect(asked).toHaveLength(1);
    expect(asked[0]?.override).toEqual({
      kind: "override",
      ...acme,
      replaces: held.override === undefined ? 0 : VERSION,
      above: 0,
      below: MAX_OVERRIDES,
    });
    expect(asked[0]?.audit).toMatchObject([{ event: "limits_cleared", outcome: "done", owner: "acme" }]);
    expect(asked[0]?.audit[0]).not.toHaveProperty("reason");
    expect(known()).toEqual([{ kind: "override", ...acme, version: VERSION + 1 }]);
  }
});

describe("a caller that may assign only some plans", () => {
  const GOLD = acmeHas({ content: { plan: "gold" } });
  const PROTECTED = denied("override_protected");

  test.each<readonly [where: string, held: Held, known: readonly StoredOverride[]]>([
    ["the store", { override: GOLD }, []],
    ["this instance, after the store has lost it", {}, [GOLD]],
    ["the store and this instance", { override: GOLD }, [GOLD]],
    ["the store, of a later version", { override: GOLD }, [acmeHas({ version: VERSION - 1 })]],
    ["this instance, of a later version", { override: acmeHas({ version: VERSION - 1 }) }, [GOLD]],
  ])("replaces and clears no override with another plan that is known to %s", async (_where, held, known) => {
    const { registry, asked } = instance(held, known);
    expect(await setOverride(registry, acme, TEAM, seller)).toEqual(PROTECTED);
    expect(await clearOverride(registry, acme, seller)).toEqual(PROTECTED);
    expect(asked).toEqual([]);
    expect(await clearOverride(registry, acme, admin)).toBe("done");
  });

  test.each<readonly [what: string, held: Held, known: readonly StoredOverride[]]>([
    ["one with a plan that it may assign", { override: acmeHas() }, []],
    ["one without a plan", { override: acmeHas({ content: { note: "n" } }) }, []],
    ["one that has expired", { override: { ...GOLD, expiresAt: NOW } }, []],
    ["one that was cleared since", { override: { kind: "override", ...acme, version: VERSION + 1 } }, [GOLD]],
    ["one that the store has replaced since", { override: acmeHas({ version: VERSION + 1 }) }, [GOLD]],
  ])("replaces and clears %s", async (_what, held, known) => {
    for (const call of [
      () => setOverride(instance(held, known).registry, acme, TEAM, seller),
      () => clearOverride(instance(held, known).registry, acme, seller),
    ])
      expect(await call()).toBe("done");
  });
});

describe("a change that is based on the version that its caller has seen", () => {
  const clear = (seen: number, held: Held = {}, known: readonly StoredOverride[] = []) =>
    clearOverride(instance(held, known).registry, acme, admin, seen);
  const CHANGED = denied("changed_meanwhile");

  test("is made if that is the newest one", async () => {
    expect(await clear(VERSION, { override: acmeHas() })).toBe("done");
    expect(await clear(VERSION, { override: acmeHas({ version: 1 }) }, [acmeHas()])).toBe("done");
    const { registry } = instance({ override: acmeHas() });
    expect(await setOverride(registry, acme, TEAM, admin, VERSION)).toBe("done");
  });

  test("is denied if there is another one, or none", async () => {
    const { registry, asked } = instance({ override: acmeHas() });
    expect(await setOverride(registry, acme, TEAM, admin, VERSION - 1)).toEqual(CHANGED);
    expect(asked).toEqual([]);
    expect(await clear(0, { override: acmeHas() })).toEqual(CHANGED);
    expect(await clear(VERSION)).toEqual(CHANGED);
    expect(await clear(1, { override: acmeHas({ version: 1 }) }, [acmeHas()])).toEqual(CHANGED);
  });

  test("counts an override that has expired or was cleared as none", async () => {
    for (const ended of [
      acmeHas({ expiresAt: NOW }),
      { kind: "override", ...acme, version: VERSION },
    ] as const) {
      expect(await clear(0, { override: ended })).toBe("done");
      expect(await clear(VERSION, { override: ended })).toEqual(CHANGED);
    }
    expect(await clear(VERSION, { override: acmeHas({ expiresAt: NOW + 1 }) })).toBe("done");
    expect(await clear(0)).toBe("done");
  });
});
