import { describe, expect, test } from "vitest";
import type { Situation } from "../../../test/support/decided.ts";
import { decided, get, HOLDER } from "../../../test/support/decided.ts";
import type { OverrideContent } from "../overrides/override.ts";
import type { OverrideFinder } from "../overrides/override-view.ts";
import type { Verification } from "./ports.ts";
import type { AuthorizePorts } from "./request-context.ts";
import type { Trace } from "./trace.ts";

const LIMITED = "rate_limits: [{ name: burst, per: key, capacity: 5, refill: 1/s }]";
const PLANS = `plans: { team: { ${LIMITED} }, gold: { rate_limits: [{ name: g, per: key, capacity: 50, refill: 1/s }] } }`;

/** A policy with this role, a free route and one that costs 5. */
function policyOf(role = "", more = ""): string {
  return `
roles: { basic: { scopes: [read], ttl: 1d, refresh_window: 1h${role && `, ${role}`} } }
routes: [{ path: /free, scopes: [read], cost: 0 }, { path: /five, scopes: [read], cost: 5 }]
${more}
`;
}

function holderWith(plan: string): Verification {
  return { ok: true, principal: { ...HOLDER, plan } };
}

const NO_TAKING: AuthorizePorts["buckets"] = { take: () => expect.unreachable() };

describe("a key whose plan is not in the policy", () => {
  test("is not served without limits", async () => {
    const unknown: string[] = [];
    const ports = { onUnknownPlan: (plan: string) => unknown.push(plan) };
    const situation = { policy: policyOf(), verified: holderWith("lost"), ports };
    const denied = { reason: "limits_unavailable", principal: { plan: "lost" } };
    expect(await decided(get("/five"), situation)).toMatchObject(denied);
    expect(unknown).toEqual(["lost"]);
    expect(await decided(get("/free"), situation)).toMatchObject({ verdict: "allow" });
  });

  test("has the limits of its role, if there are any", async () => {
    const situation = { policy: policyOf(LIMITED), verified: holderWith("lost") };
    expect(await decided(get("/five"), situation)).toMatchObject({ verdict: "allow" });
  });
});

test("a cost above a capacity is malformed, because no wait helps, and takes nothing", async () => {
  const extensions = { cost: "6" };
  const situation = { policy: policyOf(LIMITED) };
  expect(
    await decided(get("/five", { extensions }), { ...situation, ports: { buckets: NO_TAKING } }),
  ).toMatchObject({ reason: "request_malformed", principal: HOLDER });
  expect(await decided(get("/five"), situation)).toMatchObject({ verdict: "allow" });
});

test("a denial of the store keeps its reason, wait, levels and quota", async () => {
  const rates = [{ name: "burst", capacity: 5, windowSeconds: 5, remaining: 1 }];
  const quota = { name: "daily", limit: 100, resetsAtMs: 5 };
  const denied = { ok: false, reason: "quota_exceeded", retryAfterSeconds: 7, rates, quota } as const;
  const policy = policyOf(LIMITED);
  expect(await decided(get("/five"), { policy, ports: { buckets: { take: () => denied } } })).toEqual({
    verdict: "deny",
    reason: "quota_exceeded",
    route: expect.objectContaining({ pattern: "/five" }),
    principal: HOLDER,
    retryAfterSeconds: 7,
    rates,
    quota,
  });
  const { quota: _, ...limited } = { ...denied, reason: "rate_limited" } as const;
  const ofBucket = await decided(get("/five"), { policy, ports: { buckets: { take: () => limited } } });
  expect(ofBucket).toMatchObject({ reason: "rate_limited", retryAfterSeconds: 7 });
  expect(ofBucket).not.toHaveProperty("quota");
});

test("a key may be refreshed from its refresh_after on", async () => {
  const at = (nowSeconds: number) => decided(get("/five"), { policy: policyOf(LIMITED), nowSeconds });
  expect(await at(HOLDER.refreshAfter - 1)).toMatchObject({ refreshDue: false });
  expect(await at(HOLDER.refreshAfter)).toMatchObject({ refreshDue: true });
});

describe("the plan that an override gives", () => {
  const overriding = (scope: "family" | "owner", content: OverrideContent): OverrideFinder => ({
    inForce: (ofScope, subject) =>
      ofScope === scope && subject === "f1"
        ? { kind: "override", scope, subject, version: 1, content }
        : undefined,
    generation: () => 1,
  });
  const overridePlan = async (overrides: OverrideFinder | undefined, role = "plan: team") => {
    const situation = { policy: policyOf(role, PLANS), verified: holderWith("team") };
    const decision = await decided(
      get("/five"),
      overrides ? { ...situation, ports: { overrides } } : situation,
    );
    return decision.overridePlan;
  };

  test.each(["family", "owner"] as const)(
    "of the %s is in the decision, for the audit log",
    async (scope) => {
      expect(await overridePlan(overriding(scope, { plan: "gold" }))).toBe("gold");
    },
  );

  test("is absent if the plan comes from the key or the role", async () => {
    expect(await overridePlan(undefined)).toBeUndefined();
    expect(await overridePlan(overriding("family", { plan: "lost" }))).toBeUndefined();
    const ofRole = await decided(get("/five"), { policy: policyOf("plan: team", PLANS) });
    expect(ofRole).not.toHaveProperty("overridePlan");
    const withoutPlan = await decided(get("/five"), { policy: policyOf(LIMITED) });
    expect(withoutPlan).not.toHaveProperty("overridePlan");
  });
});

describe("a route that charges after the response", () => {
  const policy = `
units: { tokens: { max_charge: 5000 } }
roles:
  basic:
    scopes: [read]
    ttl: 1d
    refresh_window: 1h
    quotas: [{ name: daily, per: key, limit: 100, every: day, unit: tokens }]
routes: [{ path: /charged, scopes: [read], charge: [tokens] }]
`;

  test("grants the charge with an allow, and with nothing else", async () => {
    const charged = { look: () => ({ ok: true, rates: [] }) as const };
    expect(await decided(get("/charged"), { policy, ports: { charged } })).toMatchObject({
      verdict: "allow",
      charge: expect.anything(),
    });
    const empty = { ok: false, reason: "quota_exceeded", retryAfterSeconds: 9, rates: [] } as const;
    const denied = await decided(get("/charged"), {
      policy,
      ports: { charged: { look: () => empty }, buckets: NO_TAKING },
    });
    expect(denied).toMatchObject({ reason: "quota_exceeded", retryAfterSeconds: 9 });
    expect(denied).not.toHaveProperty("charge");
  });

  test("is denied where nothing knows its quotas", async () => {
    expect(await decided(get("/charged"), { policy })).toMatchObject({ reason: "limits_unavailable" });
  });
});

describe("a trace names the plan and what was left", () => {
  const traced = async (situation: Situation) => {
    const steps: string[] = [];
    const trace: Trace = (step, observed, outcome) => steps.push(`${step}: ${observed} → ${outcome}`);
    await decided(get("/five"), { ...situation, trace });
    return steps.filter((step) => /^(plan|limits): /.test(step));
  };

  test("of a policy with plans, or of a key that names one", async () => {
    expect(await traced({ policy: policyOf("plan: team", PLANS) })).toEqual([
      expect.stringMatching(/^plan: .*team.* → burst: 5 per key$/),
      "limits: no limits → cost 5",
    ]);
    expect(await traced({ policy: policyOf(), verified: holderWith("lost") })).toEqual([
      expect.stringMatching(/^plan: .*lost/),
      "limits: no limit, because a plan or quota is not in the policy → limits_unavailable",
    ]);
    expect(await traced({ policy: policyOf(LIMITED) })).toEqual(["limits: no limits → cost 5"]);
  });

  test("of a cost that no bucket can hold", async () => {
    const policy = policyOf("rate_limits: [{ name: small, per: key, capacity: 5, refill: 1/s }]");
    const steps: string[] = [];
    const trace: Trace = (step, observed, outcome) => steps.push(`${step}: ${observed} → ${outcome}`);
    await decided(get("/five", { extensions: { cost: "6" } }), { policy, trace });
    expect(steps.at(-1)).toBe("limits: cost 6, above a capacity → request_malformed");
  });

  test("of a denial", async () => {
    const rates = [{ name: "burst", capacity: 5, windowSeconds: 5, remaining: 1 }];
    const denied = { ok: false, reason: "rate_limited", retryAfterSeconds: 7, rates } as const;
    const ports = { buckets: { take: () => denied } };
    expect(await traced({ policy: policyOf(LIMITED), ports })).toEqual([
      "limits: burst: 1 of 5 → rate_limited",
    ]);
  });
});
