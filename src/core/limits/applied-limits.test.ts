import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parsedPolicy } from "../../../test/support/parsed-policy.ts";
import { createAuthorize } from "../decision/authorize.ts";
import { describedRequest } from "../decision/described-request.ts";
import type { Principal } from "../decision/principal.ts";
import type { AuthorizePorts } from "../decision/request-context.ts";
import { NO_OVERRIDES } from "../overrides/override-view.ts";
import type { Policy } from "../policy/policy.ts";
import { appliedLimits } from "./applied-limits.ts";
import { bucketDemands } from "./bucket-demands.ts";
import type { BucketDemand } from "./ports.ts";

const PLANS: readonly string[] = ["free", "team", "gold"];
const limit = (capacity: number, per = "key") =>
  `rate_limits: [{ name: burst, per: ${per}, capacity: ${capacity}, refill: 1/s }]`;
const CAPACITY: Readonly<Record<string, number>> = { free: 10, team: 20, gold: 30, own: 40 };

/** A policy with these plans, whose role has a plan or its own limits. */
function policyOf(plans: readonly string[], rolePlan?: string): Policy {
  const own = rolePlan === undefined ? limit(CAPACITY["own"] ?? 0) : `plan: ${rolePlan}`;
  return parsedPolicy(`
plans: { ${plans.map((plan) => `${plan}: { ${limit(CAPACITY[plan] ?? 0)} }`).join(", ")} }
roles: { basic: { scopes: [a], ttl: 1d, refresh_window: 1h, ${own} } }
routes: [{ path: /a, scopes: [a] }]
`);
}

function keyWith(plan?: string): Principal {
  return {
    keyId: "basic_1_x",
    family: "fam_x",
    role: "basic",
    ...(plan !== undefined && { plan }),
    scopes: ["a"],
    name: "",
    issuedAt: 0,
    expiresAt: 2e9,
    refreshAfter: 2e9,
  };
}

/** Decides requests of keys under changing policies with one `authorize`, as an instance does. */
function instance() {
  let policy: Policy;
  let principal: Principal;
  let taken: readonly BucketDemand[] = [];
  const unknown: string[] = [];
  const ports: AuthorizePorts = {
    policy: () => policy,
    verifier: { verify: () => ({ ok: true, principal }) },
    view: { endReason: () => undefined },
    migration: { state: () => ({ phase: "silent", chosen: false, version: 0 }) },
    stalenessMs: () => 0,
    overrides: NO_OVERRIDES,
    buckets: {
      take(demands) {
        taken = demands;
        return { ok: true, rates: [] };
      },
    },
    failures: { take: () => ({ ok: true, rates: [] }) },
    clientAddress: ({ peerAddress }) => peerAddress,
    onUnknownPlan: (plan) => unknown.push(plan),
  };
  const authorize = createAuthorize(ports);
  return async (nextPolicy: Policy, key: Principal) => {
    [policy, principal] = [nextPolicy, key];
    unknown.length = 0;
    const described = describedRequest({ method: "GET", path: "/a", key: "k" }, policy);
    if (!described.ok) throw new Error(described.fault);
    const steps: string[] = [];
    const decision = await authorize(described.request, 1e12, (step, observed) =>
      steps.push(`${step}: ${observed}`),
    );
    expect(decision.verdict).toBe("allow");
    const plan = steps.find((step) => step.startsWith("plan: "))?.slice("plan: ".length);
    return { demands: taken, unknown: [...unknown], plan };
  };
}

describe("the plan of the key applies before the plan of the role, and that before the role's own limits", () => {
  const someplan = fc.constantFrom(undefined, ...PLANS);
  const policies = fc
    .record({ known: fc.subarray([...PLANS]), rolePlan: someplan })
    .map(({ known, rolePlan }) => ({
      known: rolePlan === undefined || known.includes(rolePlan) ? known : [...known, rolePlan],
      rolePlan,
    }));
  const claims = fc.constantFrom(undefined, ...PLANS, "forgotten");

  test("for every combination, also after reloads, with the reason in the explanation", async () => {
    await fc.assert(
      fc.asyncProperty(claims, fc.array(policies, { minLength: 1, maxLength: 4 }), async (claim, reloads) => {
        const decide = instance();
        const key = keyWith(claim);
        for (const { known, rolePlan } of reloads) {
          const policy = policyOf(known, rolePlan);
          const isKnown = claim !== undefined && known.includes(claim);
          const applied = isKnown ? claim : rolePlan;
          // Twice, because the second request finds the demands of the first one.
          for (const request of [1, 2]) {
            const { demands, unknown, plan } = await decide(policy, key);
            const bucketId = applied === undefined ? "basic:burst:fam_x" : `plan/${applied}:burst:fam_x`;
            expect([request, demands.map((demand) => demand.bucketId)]).toEqual([request, [bucketId]]);
            expect(demands[0]?.limit.capacity).toBe(CAPACITY[applied ?? "own"]);
            expect(unknown).toEqual(claim === undefined || isKnown ? [] : [claim]);
            const why = isKnown ? "by the key" : "by the role basic";
            if (known.length > 0 || claim !== undefined)
              expect(plan).toContain(`${applied ?? "no plan"}, ${why}`);
            else expect(plan).toBeUndefined();
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  test("each list comes whole from the first that has it", () => {
    const lists = fc.constantFrom("none", "limits", "quotas", "both", "empty quotas");
    fc.assert(
      fc.property(lists, lists, lists, (ofKey, ofRolePlan, own) => {
        fc.pre(ofKey !== "none" && (ofRolePlan === "none" || own === "none"));
        const plans = [
          planOf("key-plan", ofKey),
          ...(ofRolePlan === "none" ? [] : [planOf("role-plan", ofRolePlan)]),
        ];
        const roleLists = ofRolePlan === "none" ? listsOf("own", own) : ["plan: role-plan"];
        const policy = parsedPolicy(
          `plans: { ${plans.join(", ")} }\nroles: { basic: { ${[ROLE, ...roleLists].join(", ")} } }\nroutes: []\n`,
        );
        const role = policy.roles.get("basic") ?? expect.fail("the role exists");
        const find = () => appliedLimits(policy, role, keyWith("key-plan"), NO_OVERRIDES, 0).limits;
        const applied = find();
        expect(find()).toBe(applied);
        const sources = [
          ["key-plan", ofKey],
          ["role-plan", ofRolePlan],
          ["own", own],
        ] as const;
        const first = (...kinds: readonly string[]) => sources.find(([, list]) => kinds.includes(list));
        expect(applied.rateLimits.map(({ name }) => name)).toEqual(
          [first("limits", "both")?.[0]].filter((name) => name !== undefined),
        );
        const [quotas] = [first("quotas", "both", "empty quotas")];
        const none = quotas === undefined || quotas[1] === "empty quotas";
        expect(applied.quotas.map(({ limit }) => limit)).toEqual(none ? [] : [LIMITS[quotas[0]]]);
      }),
    );
  });

  test("a key creates no demands after its second request", async () => {
    const decide = instance();
    const policy = policyOf(["team"]);
    const key = keyWith("team");
    await decide(policy, key);
    const { demands } = await decide(policy, key);
    expect((await decide(policy, key)).demands).toBe(demands);
  });
});

const ROLE = "scopes: [a], ttl: 1d, refresh_window: 1h";
const LIMITS: Readonly<Record<string, number>> = { "key-plan": 1, "role-plan": 2, own: 3 };

function listsOf(name: string, lists: string): readonly string[] {
  const quotas = `quotas: [{ name: monthly, per: owner, limit: ${LIMITS[name]}, every: month }]`;
  return [
    ...(["limits", "both"].includes(lists)
      ? [`rate_limits: [{ name: ${name}, per: key, capacity: 5, refill: 1/s }]`]
      : []),
    ...(["quotas", "both"].includes(lists) ? [quotas] : []),
    ...(lists === "empty quotas" ? ["quotas: []"] : []),
  ];
}

function planOf(name: string, lists: string): string {
  return `${name}: { ${listsOf(name, lists).join(", ")} }`;
}

test("no two lists of limits share a bucket, whatever the names of roles, plans, limits and owners are", () => {
  const name = fc.constantFrom("plan", "free", "shadow", "burst", "key", "a-b_c");
  // Owners of other issuers begin with the name of the issuer and a colon.
  const owner = fc.tuple(fc.constantFrom("", "burst:", "key:"), name).map((parts) => parts.join(""));
  const list = fc.record({ kind: fc.constantFrom("role", "plan"), name, limitName: name, owner });
  const id = ({ kind, name: listName, limitName, owner: own }: Example) =>
    bucketDemands(
      listOf(kind, listName, limitName),
      { family: "fam_x", owner: own, role: "basic" },
      () => "",
    )[0]?.bucketId;
  fc.assert(
    fc.property(list, list, (one, other) => {
      fc.pre(one.kind !== other.kind || (one.kind === "plan" && one.name !== other.name));
      expect(id(one)).not.toBe(id(other));
    }),
  );
});

interface Example {
  readonly kind: string;
  readonly name: string;
  readonly limitName: string;
  readonly owner: string;
}

function listOf(kind: string, listName: string, limitName: string) {
  const limits = `rate_limits: [{ name: ${limitName}, per: owner, capacity: 5, refill: 1/s }]`;
  const role = (name: string, more = "") => `${name}: { scopes: [], ttl: 1d, refresh_window: 1h${more} }`;
  const text =
    kind === "plan"
      ? `plans: { ${listName}: { ${limits} } }\nroles: { ${role("basic")} }\nroutes: []\n`
      : `roles: { ${role(listName, `, ${limits}`)} }\nroutes: []\n`;
  const { plans, roles } = parsedPolicy(text);
  const found = roles.get(kind === "plan" ? "basic" : listName) ?? expect.fail("the role exists");
  return plans.get(kind === "plan" ? listName : "")?.over(found) ?? found;
}
