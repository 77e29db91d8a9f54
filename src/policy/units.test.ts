import { expect, test } from "vitest";
import { parsedPolicy } from "../../test/support/parsed-policy.ts";
import { parsePolicy } from "./file.ts";

const ROLES = `
roles:
  basic:
    scopes: [a]
    ttl: 1d
    refresh_window: 1d
    quotas: [{ name: q, per: key, limit: 10, every: day, unit: tokens }]
`;
const parse = (text: string) => parsePolicy({ text: `${ROLES}${text}`, fileName: "p" });

function problems(text: string): readonly string[] {
  const parsed = parse(text);
  return parsed.ok ? [] : parsed.problems.map((problem) => problem.replace(/^p:\d+: /, ""));
}

test("a unit has defaults, and routes charge it and reserve it", () => {
  const parsed = parse(`
units: { tokens: {}, images: { max_charge: 5, charge_within: 2h, reserve_for: 1h } }
routes: [{ path: /a, charge: [tokens, images], reserve: { unit: tokens, amount: 7 } }, { path: /b }]
`);
  if (!parsed.ok) throw new Error(parsed.problems.join("\n"));
  expect(Object.fromEntries(parsed.policy.units)).toEqual({
    tokens: { chargeWithinMs: 3_600_000, reserveForMs: 600_000 },
    images: { maxCharge: 5, chargeWithinMs: 7_200_000, reserveForMs: 3_600_000 },
  });
  const [a, b] = ["/a", "/b"].map((path) => parsed.policy.routes.find(requestTo(path)));
  expect(a).toMatchObject({ charges: ["tokens", "images"], reserve: { unit: "tokens", amount: 7 } });
  expect([b?.charges, b?.reserve]).toEqual([[], undefined]);
  expect(parsed.policy.warnings).toEqual(["units.images has no effect: no quota has this unit"]);
});

test("a quota whose unit no route charges is a warning", () => {
  const parsed = parse("routes: [{ path: /a }]");
  expect(parsed.ok && parsed.policy.warnings).toEqual([
    'roles.basic.quotas: quota "q" has no effect: nothing charges tokens',
  ]);
});

test("a route that takes more than a whole quota of a role is a warning, unless the quota is 0", () => {
  const { warnings } = parsedPolicy(`
plans: { small: { quotas: [{ name: p, per: key, limit: 5, every: day }] } }
units: { tokens: {} }
roles:
  basic:
    scopes: [a]
    ttl: 1d
    refresh_window: 1d
    quotas:
      - { name: q, per: key, limit: 10, every: day, unit: tokens }
      - { name: r, per: key, limit: 0, every: day }
  planned: { scopes: [a, b], ttl: 1d, refresh_window: 1d, plan: small }
routes:
  - { path: /a, scopes: [a], charge: [tokens], reserve: { unit: tokens, amount: 11 }, cost: 5 }
  - { path: /b, scopes: [b], charge: [tokens], reserve: { unit: tokens, amount: 11 }, cost: 6 }
  - { path: /c, public: true, cost: 6 }
`);
  expect(warnings).toEqual([
    '/a has no effect for the role basic: it takes 11, above the quota "q" (10)',
    '/b has no effect for the role planned: it takes 6, above the quota "p" (5)',
  ]);
});

test.each([
  ["units: { requests: {} }", "units.requests: is counted by every Check: choose another name"],
  ["routes: [{ path: /a, charge: [tokens] }]", 'routes[0].charge[0]: unknown unit "tokens": add it to units'],
  [
    "units: { tokens: {} }\nroutes: [{ path: /a, charge: [token] }]",
    'routes[0].charge[0]: unknown unit "token", did you mean "tokens"?',
  ],
  [
    "units: { tokens: {} }\nroutes: [{ path: /a, charge: [tokens, tokens] }]",
    'routes[0].charge[1]: a second "tokens"',
  ],
  [
    "units: { tokens: {} }\nroutes: [{ path: /a, public: true, charge: [tokens] }]",
    "routes[0].charge: a public route has no key that could be charged",
  ],
  [
    "units: { tokens: {} }\nroutes: [{ path: /a, reserve: { unit: tokens, amount: 1 } }]",
    'routes[0].reserve.unit: "tokens" is not in charge: nothing would correct it',
  ],
  [
    "units: { tokens: { max_charge: 5 } }\nroutes: [{ path: /a, charge: [tokens], reserve: { unit: tokens, amount: 6 } }]",
    "routes[0].reserve.amount: is above max_charge of tokens, which is 5",
  ],
  ["units: { tokens: { charge_within: 25h } }", "units.tokens.charge_within: must be at most 24h"],
  [
    "units: { tokens: { reserve_for: 2h } }",
    "units.tokens.reserve_for: must not be longer than charge_within",
  ],
  ["units: { tokens: { max_charge: 0 } }", "units.tokens.max_charge: must be a whole number from 1 to 10^12"],
  [
    "units: { tokens: {} }\nroutes: [{ path: /a, charge: [tokens], reserve: { unit: tokens, amount: 0.5 } }]",
    "routes[0].reserve.amount: must be a whole number from 1 to 10^12",
  ],
])("%s is a problem", (text, problem) => {
  expect(problems(text)).toContain(problem);
});

const requestTo = (path: string) => ({
  path: { path, segments: path.slice(1).split("/"), query: "" },
  host: "x",
  method: "GET",
});
