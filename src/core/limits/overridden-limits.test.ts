import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parsedPolicy } from "../../../test/support/parsed-policy.ts";
import type { Principal } from "../decision/principal.ts";
import type { OverrideContent, OverrideSubject } from "../overrides/override.ts";
import type { Plan, Policy, Role } from "../policy/policy.ts";
import { createInstanceView } from "../revocation/instance-view.ts";
import { appliedLimits, createFindLimits, describePlan } from "./applied-limits.ts";

const NOW_MS = 1_800_000_000_000;
const KINDS = ["limits", "quotas", "both"] as const;
type Kind = (typeof KINDS)[number];
/** The name of a plan says what it has. Its limits and quotas have one capacity and one limit of their own. */
const AMOUNTS: Readonly<Record<Kind, number>> = { limits: 10, quotas: 20, both: 30 };

function listsOf(kind: Kind | "none", amount: number): string {
  return [
    ...(kind === "limits" || kind === "both"
      ? [`rate_limits: [{ name: burst, per: key, capacity: ${amount}, refill: 1/s }]`]
      : []),
    ...(kind === "quotas" || kind === "both"
      ? [`quotas: [{ name: monthly, per: owner, limit: ${amount}, every: month }]`]
      : []),
  ].join(", ");
}

/** A policy whose role has a plan or its own lists. */
function policyOf(role: { readonly plan: Kind } | { readonly own: Kind | "none" }): Policy {
  const entry = "plan" in role ? `plan: ${role.plan}` : listsOf(role.own, 40);
  return parsedPolicy(`
plans: { ${KINDS.map((kind) => `${kind}: { ${listsOf(kind, AMOUNTS[kind])} }`).join(", ")} }
roles: { basic: { scopes: [a], ttl: 1d, refresh_window: 1h${entry === "" ? "" : `, ${entry}`} } }
routes: [{ path: /a, scopes: [a] }]
`);
}

const roleOf = (policy: Policy): Role => policy.roles.get("basic") ?? expect.fail("the role exists");

const KEY: Principal = {
  keyId: "basic_1_x",
  family: "fam_x",
  owner: "acme",
  role: "basic",
  scopes: ["a"],
  name: "",
  issuedAt: 0,
  expiresAt: 2e9,
  refreshAfter: 2e9,
};

/** Overrides that one instance knows, and a way to change them. */
function overridden(contents: { readonly family?: OverrideContent; readonly owner?: OverrideContent } = {}) {
  const view = createInstanceView();
  let version = NOW_MS;
  const set = (scope: OverrideSubject["scope"], content?: OverrideContent, expiresAt?: number) =>
    view.apply([
      {
        kind: "override",
        scope,
        subject: scope === "family" ? "fam_x" : "acme",
        version: ++version,
        ...(content && { content }),
        ...(expiresAt !== undefined && { expiresAt }),
      },
    ]);
  if (contents.family) set("family", contents.family);
  if (contents.owner) set("owner", contents.owner);
  return { overrides: view.overrides, set };
}

const quotas = (limit: number, name = "monthly", extra = 0) => ({ quotas: [{ name, limit, extra }] });

describe("each list comes whole from the first source that has it", () => {
  const plan = fc.constantFrom(undefined, ...KINDS, "forgotten");
  const content = fc.option(fc.record({ plan, quotas: fc.constantFrom(undefined, "monthly", "forgotten") }), {
    nil: undefined,
  });
  type Content = { readonly plan: string | undefined; readonly quotas: string | undefined };
  const toContent = (found: Content, limit: number): OverrideContent => ({
    ...(found.plan !== undefined && { plan: found.plan }),
    ...(found.quotas !== undefined && quotas(limit, found.quotas)),
  });
  const policies = new Map<string, Policy>();
  const isKind = (name: string | undefined): name is Kind => KINDS.some((kind) => kind === name);

  test("family's override, owner's override, the key's plan, the role's plan, the role", () => {
    fc.assert(
      fc.property(
        content,
        content,
        plan,
        fc.oneof(
          fc.constantFrom(...KINDS).map((kind) => ({ plan: kind })),
          fc.constantFrom(...KINDS, "none" as const).map((own) => ({ own })),
        ),
        (ofFamily, ofOwner, claim, ofRole) => {
          const policy = policies.get(JSON.stringify(ofRole)) ?? policyOf(ofRole);
          policies.set(JSON.stringify(ofRole), policy);
          const { overrides } = overridden({
            ...(ofFamily && { family: toContent(ofFamily, 1) }),
            ...(ofOwner && { owner: toContent(ofOwner, 2) }),
          });
          const key = { ...KEY, ...(claim !== undefined && { plan: claim }) };
          const applied = appliedLimits(policy, roleOf(policy), key, overrides, NOW_MS);
          const named = [ofFamily?.plan, ofOwner?.plan, claim, "plan" in ofRole ? ofRole.plan : undefined];
          const known = named.filter(isKind);
          expect(applied.plan?.name).toBe(known[0]);
          const own = "own" in ofRole ? ofRole.own : "none";
          const limited = known.find((kind) => kind !== "quotas");
          const ownLimits = own === "limits" || own === "both" ? [40] : [];
          expect(applied.limits.rateLimits.map(({ capacity }) => capacity)).toEqual(
            limited === undefined ? ownLimits : [AMOUNTS[limited]],
          );
          const counted = [
            [ofFamily?.quotas === "monthly" && 1, ofFamily?.plan],
            [ofOwner?.quotas === "monthly" && 2, ofOwner?.plan],
            [false, claim],
            [false, named[3]],
            [own === "quotas" || own === "both" ? 40 : false, undefined],
          ] as const;
          const limits = counted.flatMap(([amount, name]) => [
            ...(amount === false || amount === undefined ? [] : [amount]),
            ...(isKind(name) && name !== "limits" ? [AMOUNTS[name]] : []),
          ]);
          expect(applied.limits.quotas.map(({ limit }) => limit)).toEqual(limits.slice(0, 1));
          expect(applied.unknownPlans).toEqual(named.filter((name) => name === "forgotten"));
          const missing = [...applied.unknownPlans, ...applied.unknownQuotas];
          const isUnlimited = limits.length + applied.limits.rateLimits.length === 0;
          expect(applied.isUnbounded).toBe(missing.length > 0 && isUnlimited && known.length === 0);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

test("a key whose plan is unknown is not limited by a quota that nothing charges", () => {
  const isUnbounded = (unit: string) => {
    const policy = policyOf({ own: "quotas" });
    const role = roleOf(policy);
    const own = { ...role, quotas: role.quotas.map((quota) => ({ ...quota, unit })) };
    const { overrides } = overridden({ family: { plan: "forgotten" } });
    return appliedLimits(policy, own, KEY, overrides, NOW_MS).isUnbounded;
  };
  expect([isUnbounded("requests"), isUnbounded("llm_tokens")]).toEqual([false, true]);
});

test("a key without limits is unbounded if a name is unknown, unless a known plan has no limits", () => {
  const policy = policyOf({ own: "none" });
  const open: Plan = { name: "open", over: (lists) => ({ ...lists, rateLimits: [], quotas: [] }) };
  const plans = new Map([...policy.plans, ["open", open]]);
  const isUnbounded = (plan?: string, content?: OverrideContent) => {
    const { overrides } = overridden(content && { family: content });
    const key = { ...KEY, ...(plan !== undefined && { plan }) };
    return appliedLimits({ ...policy, plans }, roleOf(policy), key, overrides, NOW_MS).isUnbounded;
  };
  expect([isUnbounded(), isUnbounded("forgotten")]).toEqual([false, true]);
  expect(isUnbounded(undefined, quotas(5, "forgotten"))).toBe(true);
  expect(isUnbounded("open", { plan: "forgotten" })).toBe(false);
});

test("two buckets of different sizes never share an id, whatever the sources are", () => {
  const policy = policyOf({ own: "both" });
  const idOf = (content?: OverrideContent) => {
    const { overrides } = overridden(content && { family: content });
    const { limits } = appliedLimits(policy, roleOf(policy), KEY, overrides, NOW_MS);
    return [limits.bucketPrefix, limits.rateLimits[0]?.capacity];
  };
  expect(idOf()).toEqual(["basic", 40]);
  expect(idOf({ plan: "limits" })).toEqual(["plan/limits", 10]);
  expect(idOf({ plan: "quotas" })).toEqual(["basic", 40]);
  expect(idOf(quotas(7))).toEqual(["basic", 40]);
  expect(idOf({ plan: "limits", ...quotas(7) })).toEqual(["plan/limits", 10]);
});

test("a quota of an override counts as the policy says, with the limit of the override and units for its window", () => {
  const policy = policyOf({ own: "both" });
  const { overrides, set } = overridden({ owner: quotas(10) });
  const quotaOf = () => appliedLimits(policy, roleOf(policy), KEY, overrides, NOW_MS).limits.quotas;
  const count = { per: "owner", every: "month", timeZone: "UTC", unit: "requests" };
  expect(quotaOf()).toEqual([{ ...count, name: "monthly", limit: 10 }]);
  // The counter belongs to the name and the owner, so raising from 10 to 100 after 10 were spent leaves 90.
  set("owner", quotas(100, "monthly", 5));
  expect(quotaOf()).toEqual([
    { ...count, name: "monthly", limit: 100, extra: { units: 5, atMs: NOW_MS + 2 } },
  ]);
});

describe("keys without an override", () => {
  const policy = policyOf({ own: "limits" });
  const role = roleOf(policy);
  const another = { ...KEY, family: "fam_y", owner: "other" };

  test("share the limits of their role and plan from their first use on, because caches compare them", () => {
    const find = createFindLimits(overridden().overrides);
    for (const more of [{}, { plan: "limits" }, { plan: "quotas" }])
      expect(find(policy, role, { ...another, ...more }, NOW_MS)).toBe(
        find(policy, role, { ...KEY, ...more }, NOW_MS),
      );
    const ofRole = find(policy, role, KEY, NOW_MS);
    expect(find(policy, role, { ...KEY, plan: "limits" }, NOW_MS)).not.toBe(ofRole);
    expect(find(policy, { ...role }, { ...KEY }, NOW_MS)).not.toBe(ofRole);
  });

  test("have their own result if their plan is unknown", () => {
    const find = createFindLimits(overridden().overrides);
    const unknownOf = (plan: string) => find(policy, role, { ...KEY, plan }, NOW_MS).unknownPlans;
    expect([unknownOf("gone"), unknownOf("forgotten")]).toEqual([["gone"], ["forgotten"]]);
    expect(find(policy, role, another, NOW_MS).unknownPlans).toEqual([]);
  });
});

describe("the kept limits of a key", () => {
  const policy = policyOf({ plan: "both" });
  const role = roleOf(policy);

  test("are those of one policy and one role", () => {
    const find = createFindLimits(overridden().overrides);
    const key = { ...KEY, plan: "limits" };
    const planIn = (plans: Policy["plans"]) => find({ ...policy, plans }, role, key, NOW_MS).plan?.name;
    const noPlans: Policy["plans"] = new Map();
    expect([policy.plans, policy.plans, policy.plans, noPlans].map(planIn)).toEqual([
      ...["limits", "limits", "limits"],
      "both",
    ]);
    const limitsOf = (of: Role) => find(policy, of, KEY, NOW_MS).limits.rateLimits.length;
    const unlimited = roleOf(policyOf({ own: "none" }));
    expect([role, role, role, unlimited].map(limitsOf)).toEqual([1, 1, 1, 0]);
  });

  test("are the same object until an override or the policy changes", () => {
    const { overrides, set } = overridden({ owner: quotas(10) });
    const find = createFindLimits(overrides);
    const first = find(policy, role, KEY, NOW_MS);
    expect(find(policy, role, KEY, NOW_MS + 1)).toBe(first);
    set("family", { plan: "limits" });
    const second = find(policy, role, KEY, NOW_MS);
    expect(second.plan?.name).toBe("limits");
    expect(find(policy, role, KEY, NOW_MS)).toBe(second);
    set("family");
    expect(find(policy, role, KEY, NOW_MS).plan?.name).toBe("both");
    const reloaded = policyOf({ plan: "limits" });
    expect(find(reloaded, roleOf(reloaded), KEY, NOW_MS).plan?.name).toBe("limits");
  });

  test("end with the override that expires first", () => {
    const { overrides, set } = overridden();
    set("family", { plan: "limits" }, NOW_MS / 1000 + 2);
    set("owner", { plan: "quotas" }, NOW_MS / 1000 + 4);
    const find = createFindLimits(overrides);
    const planAt = (afterMs: number) => find(policy, role, KEY, NOW_MS + afterMs).plan?.name;
    expect([0, 1999, 2000, 3999, 4000].map(planAt)).toEqual(["limits", "limits", "quotas", "quotas", "both"]);
  });
});

test("the kept limits of any keys are those that apply, whatever was kept before", () => {
  const policies = [policyOf({ plan: "both" }), policyOf({ own: "limits" }), policyOf({ own: "none" })];
  const keys = [undefined, "limits", "quotas", "gone"].flatMap((plan, at) =>
    ["fam_x", `fam_${at}`].map((family) => ({ ...KEY, family, ...(plan !== undefined && { plan }) })),
  );
  const found = fc.record({
    policy: fc.constantFrom(...policies),
    key: fc.constantFrom(...keys),
    // The clock goes forward only: an override that has expired stays so until a change.
    laterMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 1500 })),
  });
  const changed = fc.record({
    scope: fc.constantFrom("family" as const, "owner" as const),
    content: fc.option(fc.constantFrom<OverrideContent>({ plan: "quotas" }, { plan: "gone" }, quotas(5)), {
      nil: undefined,
    }),
    expiresAt: fc.option(
      fc.integer({ min: 0, max: 3 }).map((seconds) => NOW_MS / 1000 + seconds),
      {
        nil: undefined,
      },
    ),
  });
  fc.assert(
    fc.property(fc.array(fc.oneof({ arbitrary: found, weight: 4 }, changed), { maxLength: 40 }), (steps) => {
      const { overrides, set } = overridden();
      const find = createFindLimits(overrides);
      let nowMs = NOW_MS;
      for (const step of steps) {
        if ("scope" in step) set(step.scope, step.content, step.expiresAt);
        else {
          const { policy, key, laterMs } = step;
          nowMs += laterMs;
          const expected = appliedLimits(policy, roleOf(policy), key, overrides, nowMs);
          const { validUntilMs, ...applied } = find(policy, roleOf(policy), key, nowMs);
          expect({ validUntilMs: expected.validUntilMs, ...applied }).toEqual(expected);
          expect(validUntilMs).toBeGreaterThanOrEqual(nowMs);
        }
      }
    }),
  );
});

test("the explanation names what applies and why, and what the policy lacks", () => {
  const policy = policyOf({ plan: "both" });
  const describeWith = (contents: Parameters<typeof overridden>[0], plan?: string) => {
    const key = { ...KEY, ...(plan !== undefined && { plan }) };
    const { overrides } = overridden(contents);
    return describePlan(appliedLimits(policy, roleOf(policy), key, overrides, NOW_MS), roleOf(policy), key);
  };
  expect(describeWith({})).toBe("both, by the role basic");
  expect(describeWith({}, "limits")).toBe("limits, by the key");
  expect(describeWith({ owner: { plan: "limits" } })).toBe("limits, by the override of the owner acme");
  expect(describeWith({ family: quotas(5), owner: { plan: "limits" } })).toBe(
    "limits, by the override of the owner acme; quotas by the override of the family",
  );
  expect(describeWith({ family: { plan: "limits" }, owner: quotas(5) })).toBe(
    "limits, by the override of the family; quotas by the override of the owner acme",
  );
  expect(describeWith({ family: { plan: "both" }, owner: quotas(5) })).toBe(
    "both, by the override of the family",
  );
  expect(describeWith({ family: { plan: "gone" }, owner: quotas(5, "gone-too") })).toBe(
    "gone, which is not in the policy; quota gone-too, which is not in the policy; both, by the role basic",
  );
});
