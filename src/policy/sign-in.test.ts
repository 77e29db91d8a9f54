import { expect, test } from "vitest";
import { parsePolicy } from "./file.ts";

const HEAD = `roles:
  basic: { scopes: [a], ttl: 1d, refresh_window: 1h, self_service: true }
  paid: { scopes: [a], ttl: 1d, refresh_window: 1h }
  support: { scopes: [keys:read, a], ttl: 1d, refresh_window: 1h }
  granter: { scopes: [a], may_grant: [basic], ttl: 1d, refresh_window: 1h }
routes: [{ path: /a, scopes: [a] }]
`;

function parse(console: string) {
  return parsePolicy({ text: `${HEAD}console: ${console}\n`, fileName: "p" });
}

function problemsOf(console: string): readonly string[] {
  const parsed = parse(console);
  return parsed.ok ? [] : parsed.problems;
}

test("without an entry no one can sign in", () => {
  const parsed = parsePolicy({ text: HEAD, fileName: "p" });
  expect(parsed.ok && parsed.policy.signIn).toEqual({ operators: [] });
});

test("a mapping names a claim by its name, a path or a JSON Pointer", () => {
  const parsed = parse(
    "{ operators: [{ claim: realm_access.roles, value: ops, role: support }], holders: { owner: /org/id, roles: [paid] } }",
  );
  expect(parsed.ok && parsed.policy.signIn).toEqual({
    operators: [
      { claim: [["realm_access.roles"], ["realm_access", "roles"]], value: "ops", role: "support" },
    ],
    holders: { owner: [["org", "id"]], roles: ["paid"], maxKeys: 100 },
  });
});

test("an entry that gives an operator nothing, too much or something unknown is a problem", () => {
  const operator = (fields: string) =>
    problemsOf(`{ operators: [{ claim: groups, value: ops, ${fields} }] }`);
  expect(operator("role: suport")).toEqual([
    'p:7: console.operators[0].role: unknown role "suport", did you mean "support"?',
  ]);
  expect(operator("role: basic")).toEqual([
    "p:7: console.operators[0].role: an operator needs an operator scope, and this entry gives none",
  ]);
  expect(operator("role: support, scopes: [a]")).toEqual([
    "p:7: console.operators[0].role: an operator needs an operator scope, and this entry gives none",
  ]);
  expect(operator("role: support, scopes: [keys:read, keys:write]")).toEqual([
    expect.stringContaining('console.operators[0].scopes[1]: the role support does not have "keys:write"'),
  ]);
  expect(operator("role: support }, { claim: groups, value: ops, role: support")).toEqual([
    expect.stringContaining("console.operators[1]: an earlier entry has the same claim and value"),
  ]);
});

test("no holder can create a key with which it becomes an operator", () => {
  const holders = (role: string) => problemsOf(`{ holders: { owner: sub, roles: [${role}] } }`);
  expect(holders("paid")).toEqual([]);
  expect(holders("support")).toEqual([
    "p:7: console.holders.roles[0]: a holder could become an operator: this role has keys:read",
  ]);
  expect(holders("granter")).toEqual([
    "p:7: console.holders.roles[0]: a holder could become an operator: this role has may_grant",
  ]);
  expect(holders("payd")).toEqual([expect.stringContaining('unknown role "payd"')]);
});
