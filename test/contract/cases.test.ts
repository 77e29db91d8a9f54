import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { DENY_REASONS } from "../../src/core/decision/decision.ts";
import { parseCases } from "../../src/policy/cases.ts";
import { runCases } from "../../src/server/policy-trial/case-runner.ts";
import { parsedPolicy } from "../support/parsed-policy.ts";

const folder = new URL("../cases/", import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith(".cases.yaml"));

/** Reasons that no policy and key can cause by themselves, and the test that shows each. */
const SHOWN_ELSEWHERE: Readonly<Record<string, string>> = {
  internal: "src/ext-authz/check.test.ts",
  credential_unavailable: "src/legacy/verifier.test.ts",
  legacy_key_removed: "test/slow/legacy.test.ts",
};

function policy() {
  return parsedPolicy(readFileSync(new URL("policy.yaml", folder), "utf8"));
}

function casesOf(name: string) {
  const parsed = parseCases(readFileSync(new URL(name, folder), "utf8"), name);
  if (!parsed.ok) throw new Error(parsed.problems.join("\n"));
  return parsed.file;
}

describe.each(files)("test/cases/%s", async (name) => {
  const results = await runCases(casesOf(name), policy());
  test.each(results.map((result) => [result.decisionCase.name, result] as const))(
    "case: %s",
    (_name, result) => {
      expect(result.problems, JSON.stringify(result.explanation, null, 2)).toEqual([]);
    },
  );
});

test("the cases beside the built-in policy pass", async () => {
  const root = new URL("../../", import.meta.url);
  const policy = parsedPolicy(readFileSync(new URL("latchkey.yaml", root), "utf8"));
  const cases = parseCases(readFileSync(new URL("latchkey.cases.yaml", root), "utf8"), "latchkey.cases.yaml");
  if (!cases.ok) throw new Error(cases.problems.join("\n"));
  const results = await runCases(cases.file, policy);
  expect(results.filter(({ problems }) => problems.length > 0)).toEqual([]);
});

test("every reason has a case, or a test of its own", () => {
  const shown = new Set(files.flatMap((name) => casesOf(name).cases.map(({ expect: wanted }) => wanted)));
  expect(
    DENY_REASONS.filter((reason) => !shown.has(reason) && !Object.hasOwn(SHOWN_ELSEWHERE, reason)),
  ).toEqual([]);
});

test("no explanation contains a key", async () => {
  const file = casesOf("keys.cases.yaml");
  const text = JSON.stringify((await runCases(file, policy())).map(({ explanation }) => explanation));
  expect(text).not.toMatch(/eyJ[A-Za-z0-9_-]{10}/);
  expect(text).not.toContain("garbage");
});

test("keys whose names begin alike are different keys of different families", async () => {
  const cases = parseCases(
    `
keys:
  basic-customer-good: { role: basic }
  basic-customer-revoked: { role: basic, state: revoked }
  basic-customer-planned: { role: basic, overrides: { family: { plan: none } } }
cases:
  - { name: good, request: GET /a, key: basic-customer-good, expect: allowed }
  - { name: revoked, request: GET /a, key: basic-customer-revoked, expect: key_revoked }
`,
    "c.yaml",
  );
  const policy = parsedPolicy(`
roles: { basic: { scopes: [a], ttl: 7d, refresh_window: 1d } }
routes: [{ path: /a, scopes: [a] }]
`);
  const results = cases.ok ? await runCases(cases.file, policy) : expect.fail(cases.problems.join("\n"));
  expect(results.flatMap(({ problems }) => problems)).toEqual([]);
});

test("a file that gives one owner two overrides is rejected with its line", () => {
  const keys = (plan: string) => `
keys:
  first: { role: basic, owner: acme, overrides: { owner: { plan: team } } }
  second: { role: basic, owner: acme, overrides: { owner: { plan: ${plan} } } }
cases: [{ name: c, request: GET /a, key: first, expect: allowed }]
`;
  expect(parseCases(keys("team"), "c.yaml").ok).toBe(true);
  expect(parseCases(keys("free"), "c.yaml")).toMatchObject({
    problems: ['c.yaml:4: the key "first" gives the owner "acme" another override'],
  });
});
