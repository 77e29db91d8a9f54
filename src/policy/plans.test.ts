import { describe, expect, test } from "vitest";
import { parsePolicy } from "./file.ts";
import { loadPolicy } from "./load.ts";

const FREE = "free: { rate_limits: [{ name: l, per: key, capacity: 5, refill: 1/s }] }";
const role = (more: string, scopes = "a") =>
  `  x: { scopes: [${scopes}], ttl: 1d, refresh_window: 1h${more} }`;
const issuer = (more: string) =>
  `issuers:\n  - { name: corp, issuer: i, jwks_uri: "https://i/k", audience: api, roles: [x]${more} }\n`;

function problemsOf(text: string): readonly string[] {
  const result = parsePolicy({ text, fileName: "p.yaml" });
  return result.ok ? [] : result.problems;
}

test("a role has its plan, and the plan its limits, when the policy is parsed and when it is reloaded", async () => {
  const text = `plans:\n  ${FREE}\n  none: { rate_limits: [] }\nroles:\n${role(", plan: free, may_assign_plans: [free, none]", "limits:write")}\nroutes: []\n`;
  for (const parsed of [parsePolicy({ text, fileName: "p" }), await loadPolicy({ text, fileName: "p" })]) {
    if (!parsed.ok) throw new Error(parsed.problems.join("\n"));
    const { plans, roles } = parsed.policy;
    expect([...plans.keys()]).toEqual(["free", "none"]);
    expect(plans.get("free")?.rateLimits).toEqual([
      { name: "l", per: "key", capacity: 5, refillPerSecond: 1, leased: true },
    ]);
    expect(plans.get("none")?.rateLimits).toEqual([]);
    expect(roles.get("x")).toMatchObject({ mayAssignPlans: ["free", "none"], rateLimits: [] });
    expect(roles.get("x")?.plan).toBe(plans.get("free"));
  }
});

describe("invalid plans are rejected with the line of each problem", () => {
  const head = `plans:\n  ${FREE}\nroles:\n`;
  test.each<readonly [what: string, text: string, problems: readonly RegExp[]]>([
    [
      "a role's plan that the policy does not have",
      `${head}${role(", plan: fre")}\nroutes: []\n`,
      [/^p\.yaml:4: roles\.x\.plan: unknown plan "fre", did you mean "free"\?$/],
    ],
    [
      "a role with a plan and its own limits, even if there are none",
      `${head}${role(", plan: free, rate_limits: []")}\nroutes: []\n`,
      [/^p\.yaml:4: roles\.x\.rate_limits: a role has a plan or limits of its own, not both$/],
    ],
    [
      "plans to assign that do not exist, or are listed twice",
      `${head}${role(", may_assign_plans: [gold, free, free]", "limits:write")}\nroutes: []\n`,
      [
        /^p\.yaml:4: roles\.x\.may_assign_plans\[0\]: unknown plan "gold"$/,
        /^p\.yaml:4: roles\.x\.may_assign_plans\[2\]: a second "free"$/,
      ],
    ],
    [
      "plans to assign without the scope to do so",
      `${head}${role(", may_assign_plans: [free]")}\nroutes: []\n`,
      [/^p\.yaml:4: roles\.x\.may_assign_plans: has no effect without the scope limits:write$/],
    ],
    [
      "a self-service role that may change limits",
      `${head}${role(", self_service: true", "limits:write")}\nroutes: []\n`,
      [/roles\.x\.self_service: anyone could become an operator: this role has limits:write$/],
    ],
    [
      "an issuer whose tokens could change limits",
      `${head}${role("", "limits:write")}\nroutes: []\n${issuer("")}`,
      [/issuers\[0\]\.roles\[0\]: another party makes no operators: this role has limits:write$/],
    ],
    [
      "an issuer's plan that the policy does not have",
      `${head}${role("")}\nroutes: []\n${issuer(", claims: { plan: p }, plans: [fee, free, free]")}`,
      [
        /^p\.yaml:7: issuers\[0\]\.plans\[0\]: unknown plan "fee", did you mean "free"\?$/,
        /^p\.yaml:7: issuers\[0\]\.plans\[2\]: a second "free"$/,
      ],
    ],
    [
      "an issuer's plans without a claim",
      `${head}${role("")}\nroutes: []\n${issuer(", plans: [free]")}`,
      [/issuers\[0\]\.plans: has no effect without claims\.plan$/],
    ],
    [
      "an issuer's claim without plans",
      `${head}${role("")}\nroutes: []\n${issuer(", claims: { plan: p }")}`,
      [/issuers\[0\]\.claims\.plan: has no effect without plans/],
    ],
    [
      "two limits of one name",
      "plans:\n  free:\n    rate_limits:\n      - { name: l, per: key, capacity: 5, refill: 1/s }\n      - { name: l, per: owner, capacity: 5, refill: 1/s }\n",
      [/^p\.yaml:5: plans\.free\.rate_limits\[1\]\.name: a second limit "l"$/],
    ],
    [
      "a plan without limits by accident",
      "plans:\n  free: {}\n",
      [/^p\.yaml:2: plans\.free: needs rate_limits, quotas or both$/],
    ],
    [
      "a plan's unknown field",
      "plans:\n  free: { rate_limits: [], quota: [] }\n",
      [/^p\.yaml:2: plans\.free\.quota: unknown field, did you mean "quotas"\?$/],
    ],
    ["a plan's name", "plans:\n  1st: { rate_limits: [] }\n", [/^p\.yaml:2: plans\.1st: must be letters/]],
    [
      "nine limits",
      `plans:\n  free: { rate_limits: [${Array.from({ length: 9 }, (_, at) => `{ name: l${at}, per: key, capacity: 5, refill: 1/s }`).join(", ")}] }\n`,
      [/^p\.yaml:2: plans\.free\.rate_limits: /],
    ],
    [
      "more than 1,000 plans",
      `plans:\n${Array.from({ length: 1001 }, (_, at) => `  p${at}: { rate_limits: [] }\n`).join("")}`,
      [/^p\.yaml:1: plans: must be at most 1000 plans$/],
    ],
    [
      "a cost above a capacity of a role's plan",
      `${head}${role(", plan: free")}\nroutes:\n  - { path: /a, scopes: [a], cost: 6 }\n`,
      [/^p\.yaml:6: routes\[0\]\.cost: cost 6 is above the capacity of plan free's limit "l" \(5\)/],
    ],
  ])("%s", (_what, text, problems) => {
    expect(problemsOf(text)).toEqual(problems.map((problem) => expect.stringMatching(problem)));
  });
});
